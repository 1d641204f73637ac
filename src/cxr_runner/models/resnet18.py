"""Torchvision's ResNet-18, to compare the study's models with."""

from torch import Tensor, nn

from cxr_runner.config.schema import ResNet18Config
from cxr_runner.models.classifier import Classifier
from cxr_runner.models.initial_weights import Weights, describe_start, read_weights, start_from


class ResNet18(Classifier):
    """Torchvision's ResNet-18 with one input channel and one output."""

    inside, head = "backbone.", "backbone.fc"

    def __init__(self) -> None:
        """Build the layers with random weights."""
        super().__init__()
        import torchvision  # here: it takes long to import and no other model needs it

        self.backbone = torchvision.models.resnet18(num_classes=1)
        self.backbone.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)

    @classmethod
    def from_config(cls, config: ResNet18Config, image_size: int) -> "ResNet18":
        """Build the model of a configuration, with the weights of a file where it names one."""
        model = cls()
        if path := cls.weights_file(config):
            start_from(model, _of_one_channel(read_weights(path)), path)
        return model

    @staticmethod
    def describe(config: ResNet18Config) -> str:
        """Return the origin of the initial weights, and whether they stay."""
        return describe_start(config)

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [batch, 1, side, side], to logits, float [batch]."""
        logits: Tensor = self.backbone(images)
        return logits.squeeze(1)


def _of_one_channel(weights: Weights) -> Weights:
    """Sum a first layer of three channels to one, since all three are the same in a grey image.

    A last layer of one output under torchvision's own name has always been left out: the ids of such runs mean that.
    """
    kept = {name: weight for name, weight in weights.items() if not (name.startswith("fc.") and len(weight) == 1)}
    return {
        name: weight.sum(dim=1, keepdim=True) if name.endswith("conv1.weight") and weight.shape[1] == 3 else weight
        for name, weight in kept.items()
    }


MODEL = ResNet18
