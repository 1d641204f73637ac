"""The weight gradient in Triton, as Triton's interpreter computes it where there is no GPU."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")  # torch comes without it on some systems

SCRIPT = """
import torch
from torch.nn.grad import conv2d_weight
from cxr_runner.models import convolution, weight_gradient

weight_gradient.PIXELS_AT_ONCE, weight_gradient.PROGRAMS = 16, 7  # several tiles a row, several rows a program
convolution.has_own_weight_gradient = lambda images: True
torch.manual_seed(0)
for inputs, outputs, side, height, width in ((1, 10, 3, 12, 20), (10, 10, 3, 9, 17), (3, 5, 5, 8, 16)):
    images, slopes = torch.randn(2, inputs, height, width), torch.randn(2, outputs, height, width)
    exact = conv2d_weight(images.double(), (outputs, inputs, side, side), slopes.double(), padding=side // 2)
    found = weight_gradient.weight_gradient(images, slopes, side)
    assert (found - exact).abs().max() < 1e-6 * exact.abs().max()
    channels_last = (values.contiguous(memory_format=torch.channels_last) for values in (images, slopes))
    assert torch.equal(weight_gradient.weight_gradient(*channels_last, side), found)

    layer = convolution.FewChannels(inputs, outputs, side)
    plain = torch.nn.functional.conv2d
    gradients = []
    for forward in (layer, lambda batch: plain(batch, layer.weight, layer.bias, padding=side // 2)):
        batch = images.clone().requires_grad_()
        (forward(batch) * slopes).sum().backward()
        gradients.append([batch.grad, layer.weight.grad, layer.bias.grad])
        layer.zero_grad(set_to_none=True)
    for own, torchs in zip(*gradients, strict=True):
        torch.testing.assert_close(own, torchs, rtol=1e-5, atol=1e-4)
print("compared")
"""


def test_it_is_the_sum_that_float64_gives_and_reaches_the_layer() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "1"}  # read when the kernel is defined
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=120
    )
    assert answer.stdout == "compared\n", answer.stderr
