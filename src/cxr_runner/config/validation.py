"""Turns what Hydra composes into checked configurations, and says which values contradict each other."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from math import prod
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from cxr_runner.base.errors import UserError
from cxr_runner.config.data_schema import PhantomConfig, SplitConfig
from cxr_runner.config.messages import explain_values
from cxr_runner.config.schema import (
    MOST_SEEDS,
    AnyModelConfig,
    CNNConfig,
    CustomConfig,
    LinearConfig,
    LinearReLUConfig,
    LogisticConfig,
    ResNet18Config,
    RunConfig,
    SGDConfig,
    TorchvisionConfig,
)
from cxr_runner.config.unused import refuse_unused

_MOST_NATIVE_FILTERS, _LARGEST_NATIVE_FILTER = 32, 7  # more were not tried
_MOST_NATIVE_WORK = 100  # filters times their side: 20 of 5x5 take 1.2 times less time than torch's, 32 of 7x7 1.2 more


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

    Args:
        config: as composed.

    Raises:
        UserError: a key is unknown or missing, a value has the wrong type or is out of range, or two values
            contradict each other; the message names the first such key.
    """
    return from_values(plain_values(config))


def plain_values(config: DictConfig) -> dict[Any, Any]:
    """Return a composed configuration as nested plain values, unchecked; what refers to other values is looked up.

    Raises:
        UserError: a value is missing, or refers to what is not there.
    """
    try:
        for key in OmegaConf.missing_keys(config):
            raise UserError.for_key(key, "???", f"needs a value, give {key}=...")
        values = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key}: {str(error).splitlines()[0]}") from None
    assert isinstance(values, dict)
    return values


def from_values(values: dict[Any, Any]) -> RunConfig:
    """Turn a nested configuration, complete but unchecked, into checked objects.

    Raises:
        UserError: as of :func:`from_hydra`.
    """
    _check_encoding(values)
    try:
        # As JSON, because in strict mode Python dictionaries are no dataclasses.
        run = _RUN_CONFIG.validate_json(json.dumps(values))
    except ValidationError as error:
        raise explain_values(error.errors(), KEYS) from None
    _check_contradictions(run)
    return run


def _check_encoding(values: Mapping[Any, Any], prefix: str = "") -> None:
    """Refuse bytes of a command line that are no UTF-8: Python has surrogates for them, which no file can hold."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            _check_encoding(value, f"{prefix}{name}.")
        elif re.search(
            "[\ud800-\udfff]", text := ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        ):
            shown = text.encode("utf-8", "backslashreplace").decode("utf-8")
            raise UserError.for_key(f"{prefix}{name}", shown, "is not text in UTF-8")


def split_runs(run: RunConfig) -> list[RunConfig]:
    """Return the runs that a configuration stands for, each with one split and one seed.

    They come in the order of the seeds of their splits, of their folds, and of their own seeds. That several seeds of
    one split follow each other lets whoever trains them keep the split.
    """
    split = run.data.split
    splits = [
        replace(split, seed=split.seed + offset, repeats=1, fold=fold)
        for offset in range(split.repeats)
        for fold in _folds(split)
    ]
    return [
        replace(run, data=data, seed=run.seed + offset, seeds=1)
        for data in (replace(run.data, split=one) for one in splits)
        for offset in range(run.seeds)
    ]


def _folds(split: SplitConfig) -> Sequence[Literal["all"] | int]:
    """Return the folds that a configuration asks for; without folds, that of the whole."""
    if split.folds is None:
        return ("all",)
    if split.fold == "all":
        return range(split.folds)
    return split.fold if isinstance(split.fold, tuple) else (split.fold,)


def is_frozen(model: AnyModelConfig) -> bool:
    """Whether nothing but the last layer of a model is trained, on what the others make of the images."""
    return getattr(model, "freeze", None) is not None


def needs_gram(model: AnyModelConfig) -> bool:
    """Whether a model trains in Gram space or not at all."""
    return isinstance(model, LogisticConfig) or is_frozen(model)


def gram_obstacle(run: RunConfig) -> str | None:
    """Say why a run cannot be trained in Gram space; None where it can, as far as its configuration tells.

    The first layer that is trained must see the pixels themselves, or features of them that stay, and its weights must
    stay in the span of the training images: elementwise scaling (Adam), clipping and changed images leave it.
    """
    if isinstance(run.model, LogisticConfig):
        return "device=mps has no float64" if run.device == "mps" else None
    if not (isinstance(run.model, LinearConfig | LinearReLUConfig) or is_frozen(run.model)):
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


def native_obstacle(run: RunConfig) -> str | None:
    """Say why a run has no kernels compiled for a CPU; None where it has, as far as its configuration tells.

    A CNN has, and what steps of SGD train in Gram space.
    """
    if not isinstance(run.model, CNNConfig):
        if isinstance(run.model, LogisticConfig):
            return "model=logistic takes no steps"
        if run.engine == "pixel":
            return f"model={run.model.name} has none for pixels"
        if obstacle := gram_obstacle(run):
            return f"Gram space has them, but for this run: {obstacle}"
        return None
    if run.precision != "float32":
        return f"precision={run.precision}"
    if run.model.hidden > _MOST_NATIVE_FILTERS:
        return f"more than {_MOST_NATIVE_FILTERS} filters"
    if run.model.kernel_size > _LARGEST_NATIVE_FILTER:
        return f"filters larger than {_LARGEST_NATIVE_FILTER}x{_LARGEST_NATIVE_FILTER}"
    if run.model.hidden * run.model.kernel_size > _MOST_NATIVE_WORK:
        size = run.model.kernel_size
        return f"{run.model.hidden} filters of {size}x{size}, which torch's kernels compute as fast"
    return None


def _check_freeze(run: RunConfig) -> None:
    """Refuse what does not go with a model whose last layer alone is trained, in Gram space."""
    model = run.model
    if not isinstance(model, ResNet18Config | TorchvisionConfig | CustomConfig) or model.freeze is None:
        return
    if model.weights is None:
        raise UserError.for_key("model.freeze", model.freeze, "needs model.weights, which stay as they are")
    if isinstance(model, CustomConfig) and model.head is None:
        raise UserError.for_key("model.freeze", model.freeze, "needs model.head, the name of the last layer")
    if run.engine == "pixel":
        raise UserError.for_key("engine", run.engine, "model.freeze trains in Gram space: valid are auto and gram")
    if obstacle := gram_obstacle(run):
        raise UserError.for_key("model.freeze", model.freeze, f"trains in Gram space, not possible here: {obstacle}")
    if run.save == "compact":
        raise UserError.for_key("save", run.save, "model.freeze needs the weights that stay: valid is full")


def _check_contradictions(run: RunConfig) -> None:
    """Refuse values that are valid one by one but not together."""
    refuse_unused(asdict(run))
    if run.engine == "gram" and (obstacle := gram_obstacle(run)):
        raise UserError.for_key("engine", "gram", f"not possible here: {obstacle}; auto and pixel are")
    _check_freeze(run)
    if run.kernels == "native" and (obstacle := native_obstacle(run)):
        raise UserError.for_key("kernels", "native", f"not possible here: {obstacle}; auto and torch are")
    if run.engine == "pixel" and isinstance(run.model, LogisticConfig):
        raise UserError.for_key("engine", "pixel", "model=logistic is solved in Gram space; valid are auto and gram")
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
    _check_splits(run.data.split)
    _check_number(run)


def _check_splits(split: SplitConfig) -> None:
    """Refuse folds that are not there, and seeds beyond the largest."""
    if split.folds is None:
        if split.fold != "all":
            raise UserError.for_key(
                "data.split.fold", _shown(split.fold), "needs data.split.folds, the number of folds"
            )
    else:
        if split.strategy == "given":
            valid = (
                "folds are drawn and not given; valid are random, patient and null (patient where patients are known)"
            )
            raise UserError.for_key("data.split.strategy", "given", valid)
        folds = (split.fold,) if isinstance(split.fold, int) else () if split.fold == "all" else split.fold
        if split.fold == ():
            raise UserError.for_key("data.split.fold", "[]", "names no fold; all are data.split.fold=all")
        if len(set(folds)) < len(folds):
            raise UserError.for_key("data.split.fold", _shown(split.fold), "names a fold twice")
        if folds and max(folds) >= split.folds:
            valid = f"valid are 0 to {split.folds - 1}, data.split.folds={split.folds}"
            raise UserError.for_key("data.split.fold", _shown(split.fold), valid)
    if split.seed + split.repeats > 2**32:
        valid = f"with data.split.seed={split.seed} goes beyond the largest seed, {2**32 - 1}"
        raise UserError.for_key("data.split.repeats", split.repeats, valid)


def _shown(fold: str | int | tuple[int, ...]) -> str:
    return f"[{','.join(map(str, fold))}]" if isinstance(fold, tuple) else str(fold)


def _check_number(run: RunConfig) -> None:
    """Refuse more runs than one command makes."""
    split = run.data.split
    counts = {"data.split.folds": len(_folds(split)), "data.split.repeats": split.repeats, "seeds": run.seeds}
    if (total := prod(counts.values())) > MOST_SEEDS:
        key = max(counts, key=lambda name: counts[name])
        others = " and ".join(f"{name}={number:,}" for name, number in counts.items() if name != key and number > 1)
        asks = f"with {others} asks for {total:,} runs" if others else f"asks for {total:,} runs"
        raise UserError.for_key(key, counts[key], f"{asks}; one command makes at most {MOST_SEEDS:,}")
