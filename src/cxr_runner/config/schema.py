"""The schema of a run: frozen dataclasses, with the type and range of every value.

The defaults are in ``conf/``, nowhere else. Each component takes the part that concerns it, never the whole.
"""

from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from cxr_runner.config.data_schema import AnyDataConfig
from cxr_runner.config.values import Count, Seed, Share, Strict

MOST_SEEDS = 10_000  # of one command: runs are planned before the first is trained
Depth = Annotated[int, Field(ge=1, le=1000)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Freeze = Literal["backbone"] | None


@dataclass(frozen=True)
class LinearConfig(Strict):
    """Fig. 6 of the study."""

    name: Literal["linear"]
    layers: Depth
    hidden: Count


@dataclass(frozen=True)
class LinearReLUConfig(Strict):
    """Fig. 7 of the study."""

    name: Literal["linear_relu"]
    layers: Depth
    hidden: Count
    output_relu: bool


@dataclass(frozen=True)
class LogisticConfig(Strict):
    """Logistic regression on the pixels with an L2 penalty, solved to its optimum."""

    name: Literal["logistic"]
    l2: Positive | Literal["path"]
    path_metric: Literal["val_loss", "val_accuracy", "val_f1", "val_auroc"]


@dataclass(frozen=True)
class CNNConfig(Strict):
    """Fig. 8 of the study."""

    name: Literal["cnn"]
    hidden: Count
    kernel_size: Annotated[int, Field(ge=1, le=31)]


@dataclass(frozen=True)
class ResNet18Config(Strict):
    """Torchvision's ResNet-18 with one input channel."""

    name: Literal["resnet18"]
    weights: str | None
    freeze: Freeze


@dataclass(frozen=True)
class TorchvisionConfig(Strict):
    """A classifier of torchvision, with three normalised channels made of one."""

    name: Literal["torchvision"]
    arch: str
    weights: str | None
    freeze: Freeze


@dataclass(frozen=True)
class CustomConfig(Strict):
    """A class of the user's, which maps images to logits."""

    name: Literal["custom"]
    target: str
    arguments: dict[str, JsonValue] = field(hash=False)
    source: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")] | None
    head: str | None
    weights: str | None
    freeze: Freeze


AnyModelConfig = (
    LinearConfig | LinearReLUConfig | LogisticConfig | CNNConfig | ResNet18Config | TorchvisionConfig | CustomConfig
)


@dataclass(frozen=True)
class SGDConfig(Strict):
    """Stochastic gradient descent."""

    name: Literal["sgd"]
    lr: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)]
    nesterov: bool
    weight_decay: NotNegative
    grad_clip: Positive | None


@dataclass(frozen=True)
class AdamConfig(Strict):
    """Adam (weight decay in the gradient) or AdamW (weight decay beside it)."""

    name: Literal["adam", "adamw"]
    lr: Positive
    weight_decay: NotNegative
    grad_clip: Positive | None


AnyOptimizerConfig = SGDConfig | AdamConfig


@dataclass(frozen=True)
class LossConfig(Strict):
    """Binary cross entropy on logits."""

    pos_weight: Positive | Literal["balanced"] | None


@dataclass(frozen=True)
class ScheduleConfig(Strict):
    """The learning rate over the epochs."""

    name: Literal["constant", "cosine", "step"]
    warmup_epochs: Annotated[int, Field(ge=0)]
    step_epochs: Count
    gamma: Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class EarlyStoppingConfig(Strict):
    """When to stop before the last epoch, and whose weights to end with."""

    metric: Literal["val_loss", "val_accuracy", "val_f1", "val_auroc"]
    patience: Count | None
    min_delta: NotNegative
    restore_best: bool


@dataclass(frozen=True)
class AugmentConfig(Strict):
    """Random changes of training batches."""

    flip: Share
    degrees: Annotated[float, Field(ge=0, le=180)]
    translate: Share
    scale: Annotated[float, Field(ge=0, lt=1)]
    brightness: Share
    contrast: Share

    @property
    def enabled(self) -> bool:
        """Whether any change is switched on."""
        return any(asdict(self).values())


@dataclass(frozen=True)
class RunConfig(Strict):
    """One run, complete and checked."""

    data: Annotated[AnyDataConfig, Field(discriminator="name")]
    model: Annotated[AnyModelConfig, Field(discriminator="name")]
    optimizer: Annotated[AnyOptimizerConfig, Field(discriminator="name")]
    loss: LossConfig
    epochs: Count
    batch_size: Count
    seed: Seed
    seeds: Annotated[int, Field(ge=1, le=MOST_SEEDS)]
    schedule: ScheduleConfig
    early_stopping: EarlyStoppingConfig
    augment: AugmentConfig
    engine: Literal["auto", "pixel", "gram"]
    device: Annotated[str, StringConstraints(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]
    precision: Literal["float32", "bf16"]
    deterministic: bool
    kernels: Literal["auto", "native", "torch"]
    outputs: Annotated[str, StringConstraints(min_length=1)]
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$")] | None
    force: bool
    save: Literal["full", "compact"]
    plots: Literal["auto", "always", "never"]
    progress: Literal["auto", "bar", "lines", "none"]
