"""The weight gradient of a convolution of few channels on a GPU, in Triton: float32, and the same bits each time.

cuDNN has fast kernels for it, which add up in any order, and repeatable ones, which take four to ten times as long
where an image has many pixels and few channels. Here each of a fixed number of programs adds up the products of its
rows in order, and their sums are added up in order. Import this module only where there is a GPU: Triton comes with
torch's builds for them.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

PIXELS_AT_ONCE = 32  # of one row
PROGRAMS = 2112  # not a number of the GPU at hand: the order of the sums depends on it
WARPS = 4


@triton.jit  # type: ignore[untyped-decorator]
def _sum_products(  # type: ignore[no-untyped-def]
    images, slopes, sums, height, width, num_tiles, tiles_a_row,
    inputs: tl.constexpr, outputs: tl.constexpr, side: tl.constexpr,
    rows: tl.constexpr, columns: tl.constexpr, pixels: tl.constexpr,
):  # fmt: skip
    """Add up slopes times shifted images, [outputs, pixels] times [pixels, inputs * side * side], over some tiles."""
    program = tl.program_id(0)
    output, column, pixel = tl.arange(0, rows), tl.arange(0, columns), tl.arange(0, pixels)
    channel = column // (side * side)
    down, right = column % (side * side) // side - side // 2, column % side - side // 2
    total = tl.zeros((rows, columns), tl.float32)
    for tile in range(program, num_tiles, tl.num_programs(0)):
        row, x = tile // tiles_a_row, tile % tiles_a_row * pixels + pixel
        image, y = (row // height).to(tl.int64), row % height
        slope = tl.load(
            slopes + ((image * outputs + output[:, None]) * height + y) * width + x[None, :],
            mask=(output[:, None] < outputs) & (x[None, :] < width),
            other=0.0,
        )
        shifted_y, shifted_x = y + down[None, :], x[:, None] + right[None, :]
        inside = (shifted_y >= 0) & (shifted_y < height) & (shifted_x >= 0) & (shifted_x < width)
        value = tl.load(
            images + ((image * inputs + channel[None, :]) * height + shifted_y) * width + shifted_x,
            mask=inside & (channel[None, :] < inputs),
            other=0.0,
        )
        total = tl.dot(slope, value, total, input_precision="tf32x3")  # three products: as exact as float32
    tl.store(sums + (program * rows + output[:, None]) * columns + column[None, :], total)


def weight_gradient(images: Tensor, slopes: Tensor, side: int) -> Tensor:
    """Return the gradient of a convolution's weights; stride 1, padded so that images keep their size.

    Args:
        images: what went in, float32 [batch, inputs, height, width].
        slopes: gradients of what came out, float32 [batch, outputs, height, width].
        side: side of the filters, odd.

    Returns:
        float32 [outputs, inputs, side, side].
    """
    images, slopes = images.contiguous(), slopes.contiguous()
    (batch, inputs, height, width), outputs = images.shape, slopes.shape[1]
    tiles_a_row = triton.cdiv(width, PIXELS_AT_ONCE)
    num_tiles = batch * height * tiles_a_row
    programs, terms = min(PROGRAMS, num_tiles), inputs * side * side
    rows, columns = (max(16, triton.next_power_of_2(number)) for number in (outputs, terms))
    sums = torch.empty(programs, rows, columns, device=images.device)
    _sum_products[(programs,)](
        images, slopes, sums, height, width, num_tiles, tiles_a_row,
        inputs, outputs, side, rows, columns, PIXELS_AT_ONCE, num_warps=WARPS,
    )  # fmt: skip
    return sums.sum(dim=0)[:outputs, :terms].reshape(outputs, inputs, side, side)
