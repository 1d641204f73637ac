"""Any classifier of torchvision, with one logit in the place of its classes."""

import os
import re
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cxr_runner.base.errors import UserError
from cxr_runner.config.schema import TorchvisionConfig
from cxr_runner.models.classifier import Classifier
from cxr_runner.models.contract import check_contract
from cxr_runner.models.initial_weights import KEY, Weights, describe_start, read_weights, start_from

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, with which all were pretrained
# Auxiliary classifiers are left out. Their nets rescale what is normalised where they are given pretrained weights,
# and do so here in any case: the finished model does not say what it started from.
_ARGUMENTS: dict[str, dict[str, Any]] = {
    name: {"aux_logits": False, "transform_input": True, "init_weights": True} for name in ("googlenet", "inception_v3")
}
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
_DEFAULT = "DEFAULT"


class GreyToImageNet(nn.Module):
    """Makes of a grey channel in [0, 1] three, normalised as those that torchvision's nets were trained on."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        """Keep both as buffers, which are no weights."""
        super().__init__()
        for name, values in (("mean", _MEAN), ("std", _STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [batch, 1, side, side], to float [batch, 3, side, side]."""
        return (images - self.mean) / self.std


class TorchvisionClassifier(Classifier):
    """A classifier of torchvision with one output, and what it takes to give it grey images."""

    inside, draws = "backbone.", True

    def __init__(self, arch: str) -> None:
        """Build the layers with random weights.

        Args:
            arch: name of the classifier.
        """
        super().__init__()
        from torchvision import models  # here: it takes long to import and few models need it

        self.normalise = GreyToImageNet()
        self.backbone = models.get_model(arch, weights=None, num_classes=1, **_ARGUMENTS.get(arch, {}))
        if isinstance(self.backbone, models.SqueezeNet):  # ends in a ReLU, after which no logit is negative
            layers = {"0": nn.Dropout(), "pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
            self.backbone.classifier = nn.Sequential()
            for name, layer in (layers | {"1": nn.Linear(512, 1)}).items():
                self.backbone.classifier.add_module(name, layer)
        self.head = [name for name, layer in self.named_modules() if isinstance(layer, nn.Linear)][-1]
        if self.last_layer().bias is None:
            self.set_submodule(self.head, nn.Linear(self.last_layer().in_features, 1))

    @classmethod
    def from_config(cls, config: TorchvisionConfig, image_size: int) -> "TorchvisionClassifier":
        """Build the model of a configuration, with the weights that it names."""
        _check_arch(config.arch)
        model = cls(config.arch)
        if path := cls.weights_file(config):
            start_from(model, _modern_names(read_weights(path)), path, _AUXILIARY)
        return model

    @classmethod
    def weights_file(cls, config: TorchvisionConfig) -> Path | None:
        """Return the file of the initial weights; torchvision's own are downloaded."""
        return _download(config.arch) if config.weights == _DEFAULT else super().weights_file(config)

    @staticmethod
    def describe(config: TorchvisionConfig) -> str:
        """Return the architecture and the origin of the initial weights."""
        return f"{config.arch}, {describe_start(config)}"

    def check(self, config: TorchvisionConfig, image_size: int) -> None:
        """Try whether the architecture takes images of this size: some take one size only, some no small ones."""
        check_contract(self, image_size, partial(UserError.for_key, "model.arch", config.arch))

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [batch, 1, side, side], to logits, float [batch]."""
        logits: Tensor = self.backbone(self.normalise(images))
        return logits.squeeze(1)


def _download(arch: str) -> Path:
    """Return the file of torchvision's own weights, which are downloaded once."""
    from torchvision import models

    url: str = models.get_model_weights(arch)[_DEFAULT].url
    path = Path(torch.hub.get_dir()) / "checkpoints" / os.path.basename(url)
    if not path.exists():
        try:
            torch.hub.load_state_dict_from_url(url, map_location="cpu", progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            way_out = f"put that file at {path}, or name another one: model.weights=FILE"
            raise UserError.for_key(KEY, _DEFAULT, f"cannot download {url} ({error}); {way_out}") from None
    return path


def _check_arch(arch: str) -> None:
    from torchvision import models

    known = models.list_models(module=models)
    if arch not in known:
        near = get_close_matches(arch.lower().replace("-", "_"), known, n=3, cutoff=0.5)
        meant = f"did you mean {', '.join(near)}?" if near else f"valid are {', '.join(known)}"
        raise UserError.for_key("model.arch", arch, f"torchvision has no such classifier; {meant}")


def _modern_names(weights: Weights) -> Weights:
    """Return weights of a DenseNet under the names that its layers have now; torchvision's files have older ones."""
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
    return {old.sub(r"\1\2", name): value for name, value in weights.items()}


MODEL = TorchvisionClassifier
