"""The schema of a run: frozen dataclasses, with the type and range of every value.

The defaults are in ``conf/``, nowhere else. Each component takes the part that concerns it, never the whole.
"""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

Count = Annotated[int, Field(ge=1, lt=2**31)]
MOST_SEEDS = 10_000  # of one command: runs are planned before the first is trained
Depth = Annotated[int, Field(ge=1, le=1000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Strategy = Literal["given", "random", "patient"]
Bits = Literal["auto", 8, 10, 12, 14, 15, 16]
Windowing = Literal["file", "percentile", "full"]  # of DICOM files: where their window comes from
Names = str | tuple[str, ...] | None  # one name, or several


class Strict:
    """What all parts of a configuration share: unknown keys, other types, NaN and infinity are refused."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class SplitConfig(Strict):
    """How images are assigned to train, val and test."""

    strategy: Strategy | None
    seed: Seed
    val_share: Annotated[float, Field(gt=0, lt=1)]
    keep_test: bool


@dataclass(frozen=True)
class DataConfig(Strict):
    """What every source of images has."""

    image_size: Annotated[int, Field(ge=8, le=4096)]
    duplicates: Literal["drop", "keep", "drop_conflicts"]
    on_bad_image: Literal["error", "skip"]
    patient_pattern: Annotated[str, StringConstraints(min_length=1)] | None
    split: SplitConfig


@dataclass(frozen=True)
class PhantomConfig(DataConfig):
    """Synthetic phantom data."""

    name: Literal["phantom"]
    num_images: Annotated[int, Field(ge=40, le=100_000)]
    difficulty: Share
    phantom_seed: Seed


@dataclass(frozen=True)
class HubConfig(DataConfig):
    """The study's data set on the Hugging Face Hub, or a local copy of its files."""

    name: Literal["chest_xray"]
    path: str | None


@dataclass(frozen=True)
class FolderConfig(DataConfig):
    """A tree of images in folders."""

    name: Literal["folder"]
    root: Annotated[str, StringConstraints(min_length=1)]
    positive: Names
    negative: Names
    ignore: Names
    subfolders: Literal["same", "any"]
    allow_unused: Share
    bits: Bits
    window: Windowing
    frame: Count | None
    subgroups: Names
    title: str
    citation: str


AnyDataConfig = PhantomConfig | HubConfig | FolderConfig


def subgroups_of(data: AnyDataConfig) -> tuple[str, ...]:
    """Return ``data.subgroups`` as names of columns; text in brackets is a list."""
    given = data.subgroups if isinstance(data, FolderConfig) else None
    if given is None or isinstance(given, tuple):
        return given or ()
    inside = given[1:-1] if given.startswith("[") and given.endswith("]") else given
    return tuple(name for part in inside.split(",") if (name := part.strip()))


def bits_of(data: AnyDataConfig) -> Bits:
    """Return ``data.bits``; images of a source without the key have 8 bits."""
    return data.bits if isinstance(data, FolderConfig) else "auto"


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


AnyModelConfig = LinearConfig | LinearReLUConfig | CNNConfig | ResNet18Config


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
    outputs: Annotated[str, StringConstraints(min_length=1)]
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$")] | None
    force: bool
    progress: Literal["auto", "bar", "lines", "none"]
