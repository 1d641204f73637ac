"""The schema of a run: frozen dataclasses, and every check of a value.

The defaults are in ``conf/``, nowhere else. Each component takes the part that concerns it, never the whole.
"""

import json
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from cxr_runner.base.errors import UserError
from cxr_runner.config.messages import explain_values

Count = Annotated[int, Field(ge=1, lt=2**31)]
Depth = Annotated[int, Field(ge=1, le=1000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Strategy = Literal["given", "random", "patient"]


class Strict:
    """What all parts of a configuration share: unknown keys, other types, NaN and infinity are refused."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class SplitConfig(Strict):
    """How images are assigned to train, val and test."""

    strategy: Strategy | None
    seed: Seed


@dataclass(frozen=True)
class DataConfig(Strict):
    """What every source of images has."""

    image_size: Annotated[int, Field(ge=8, le=4096)]
    duplicates: Literal["drop", "keep"]
    on_bad_image: Literal["error", "skip"]
    patient_pattern: Annotated[str, StringConstraints(min_length=1)]
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
    positive: str | None
    title: str
    citation: str


AnyDataConfig = PhantomConfig | HubConfig | FolderConfig


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
    seeds: Annotated[int, Field(ge=1, le=10_000)]
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


def _collect_keys(schema: dict[str, Any], definitions: dict[str, Any], prefix: str = "") -> set[str]:
    """List the dotted keys of a JSON schema, those of all variants together."""
    keys: set[str] = set()
    variants = [schema, *schema.get("oneOf", []), *schema.get("anyOf", [])]
    for variant in variants:
        resolved = definitions.get(variant.get("$ref", "").rsplit("/", 1)[-1], variant)
        for name, child in resolved.get("properties", {}).items():
            keys |= {prefix + name} | _collect_keys(child, definitions, f"{prefix}{name}.")
    return keys


_RUN_CONFIG = TypeAdapter(RunConfig)
_SCHEMA = _RUN_CONFIG.json_schema()
KEYS = frozenset(_collect_keys(_SCHEMA, _SCHEMA["$defs"]))


def from_hydra(config: DictConfig) -> RunConfig:
    """Turn a composed configuration into the plain, checked objects that the rest of the program sees.

    Raises:
        UserError: a key is unknown or missing, a value has the wrong type or is out of range, or two values
            contradict each other; the message names the first such key.
    """
    try:
        for key in OmegaConf.missing_keys(config):
            raise UserError.for_key(key, "???", f"needs a value, give {key}=...")
        values = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key}: {str(error).splitlines()[0]}") from None
    assert isinstance(values, dict)
    try:
        # As JSON, because in strict mode Python dictionaries are no dataclasses.
        run = _RUN_CONFIG.validate_json(json.dumps(values))
    except ValidationError as error:
        raise explain_values(error.errors(), KEYS) from None
    _check_contradictions(run)
    return run


def split_seeds(run: RunConfig) -> list[RunConfig]:
    """Return the runs that a configuration stands for, with one seed each: ``seed``, ``seed + 1``, ..."""
    return [replace(run, seed=run.seed + offset, seeds=1) for offset in range(run.seeds)]


def gram_obstacle(run: RunConfig) -> str | None:
    """Say why a run cannot be trained in Gram space; None where it can, as far as its configuration tells.

    The first layer must see the pixels themselves, and its weights must stay in the span of the training images:
    elementwise scaling (Adam), clipping and changed images leave it.
    """
    if not isinstance(run.model, LinearConfig | LinearReLUConfig):
        return f"model={run.model.name} does not begin with a linear layer on the pixels"
    if not isinstance(run.optimizer, SGDConfig):
        return f"optimizer={run.optimizer.name} leaves the span of the training images"
    if run.optimizer.grad_clip is not None:
        return "optimizer.grad_clip needs the gradient in pixel space"
    if run.augment.enabled:
        return "augment changes the training images"
    if run.precision != "float32":
        return f"precision={run.precision} is too coarse for it"
    return "device=mps has no float64" if run.device == "mps" else None


def _check_contradictions(run: RunConfig) -> None:
    """Refuse values that are valid one by one but not together."""
    if run.engine == "gram" and (obstacle := gram_obstacle(run)):
        raise UserError.for_key("engine", "gram", f"not possible here: {obstacle}; auto and pixel are")
    if isinstance(run.optimizer, SGDConfig) and run.optimizer.nesterov and run.optimizer.momentum == 0:
        raise UserError.for_key("optimizer.nesterov", True, "needs optimizer.momentum above 0")
    if isinstance(run.model, CNNConfig) and run.model.kernel_size % 2 == 0:
        raise UserError.for_key("model.kernel_size", run.model.kernel_size, "must be odd, like the study's 3 and 5")
    if isinstance(run.model, ResNet18Config) and run.data.image_size < 64:
        raise UserError.for_key("data.image_size", run.data.image_size, "model=resnet18 needs at least 64")
    if 0 < run.epochs <= (warmup := run.schedule.warmup_epochs):
        raise UserError.for_key("schedule.warmup_epochs", warmup, f"must be below epochs={run.epochs}")
    if run.seed + run.seeds > 2**32:
        raise UserError.for_key("seeds", run.seeds, f"with seed={run.seed} goes beyond the largest seed, {2**32 - 1}")
    if (patience := run.early_stopping.patience) is not None and patience >= run.epochs:
        valid = f"must be below epochs={run.epochs}, or training can never end early"
        raise UserError.for_key("early_stopping.patience", patience, valid)
    if isinstance(run.data, PhantomConfig) and run.data.split.strategy == "given":
        raise UserError.for_key("data.split.strategy", "given", "phantoms bring no splits; valid are random, patient")
