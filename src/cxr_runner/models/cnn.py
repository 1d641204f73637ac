"""The study's CNN (its Fig. 8)."""

from torch import Tensor, nn
from torch.nn.functional import relu

from cxr_runner.config.schema import CNNConfig
from cxr_runner.models.classifier import Classifier
from cxr_runner.models.convolution import FewChannels
from cxr_runner.models.native.conv_block import conv_block, load_conv_block


class ConvBlock(nn.Sequential):
    """Conv-ReLU-conv-ReLU-maxpool, one block of the study's Fig. 8."""

    def __init__(self, inputs: int, filters: int, kernel_size: int) -> None:
        """Build the layers; convolutions keep the size of an image, the pooling halves it.

        Args:
            inputs: number of input channels.
            filters: number of output channels of both convolutions.
            kernel_size: side of the filters, odd.
        """
        super().__init__(
            FewChannels(inputs, filters, kernel_size),
            nn.ReLU(),
            FewChannels(filters, filters, kernel_size),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [batch, inputs, side, side], to float [batch, filters, side / 2, side / 2].

        The second ReLU is applied after the pooling, where it has a quarter of the work. Both are monotone: outputs and
        gradients are the same, bit for bit. ReLU overwrites its input, since no convolution needs its output in the
        backward pass.
        """
        first, _, second, _, pool = self
        features: Tensor = relu(pool(second(relu(first(images), inplace=True))), inplace=True)
        return features

    def compile_kernels(self) -> None:
        """Compile what :meth:`forward_natively` needs; see :class:`Classifier`."""
        filters, inputs, side, _ = next(self.parameters()).shape
        load_conv_block(inputs, filters, side)

    def forward_natively(self, images: Tensor) -> Tensor:
        """Map images as :meth:`forward` does, on the CPU, by kernels that were compiled for it."""
        return conv_block(images, *self.parameters())


class CNN(Classifier):
    """Two blocks of conv-ReLU-conv-ReLU-maxpool, then one linear layer (Fig. 8 of the study)."""

    def __init__(self, image_size: int, hidden: int, kernel_size: int) -> None:
        """Build the layers.

        Args:
            image_size: side of the square images, in pixels.
            hidden: number of filters of every convolution.
            kernel_size: side of the filters, odd; images are padded so that they keep their size.
        """
        super().__init__()
        self.block_1 = ConvBlock(1, hidden, kernel_size)
        self.block_2 = ConvBlock(hidden, hidden, kernel_size)
        side = image_size // 2 // 2
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(hidden * side**2, 1))

    @classmethod
    def from_config(cls, config: CNNConfig, image_size: int) -> "CNN":
        """Build the model of a configuration."""
        return cls(image_size, config.hidden, config.kernel_size)

    @staticmethod
    def describe(config: CNNConfig) -> str:
        """Return the number of filters and their size."""
        return f"{config.hidden} filters {config.kernel_size}x{config.kernel_size}"

    def layers_before_relu(self) -> list[str]:
        """Return the names of all convolutions."""
        return [name for name, layer in self.named_modules() if isinstance(layer, nn.Conv2d)]

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [batch, 1, side, side], to logits, float [batch]."""
        logits: Tensor = self.classifier(self.block_2(self.block_1(images)))
        return logits.squeeze(1)

    def compile_kernels(self) -> None:
        """Compile both blocks."""
        self.block_1.compile_kernels()
        self.block_2.compile_kernels()

    def forward_natively(self, images: Tensor) -> Tensor:
        """Map images as :meth:`forward` does, on the CPU, by kernels that were compiled for it."""
        features = self.block_2.forward_natively(self.block_1.forward_natively(images))
        logits: Tensor = self.classifier(features)
        return logits.squeeze(1)


MODEL = CNN
