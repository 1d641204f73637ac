"""The rows of a study: configurations by their settings, and what was published of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cxr_runner.config.text import ARGUMENTS

FAMILIES = {"linear": "Linear", "linear_relu": "Linear+ReLU", "cnn": "CNN"}
"""How the models of tables and figures are called."""


@dataclass(frozen=True)
class Published:
    """The test metrics that a study gives for one row; nan for what it does not give.

    Attributes:
        figure: number of the figure that they stand in, None where it has none.
        accuracy: as printed, a percentage where the study's metrics say so.
        precision: likewise, as the others.
        recall: recall.
        f1: F1.
        specificity: specificity.
        auroc: area under the curve.
    """

    figure: int | None = None
    accuracy: float = math.nan
    precision: float = math.nan
    recall: float = math.nan
    f1: float = math.nan
    specificity: float = math.nan
    auroc: float = math.nan


@dataclass(frozen=True, eq=False)
class Row:
    """One row of a study: a configuration but for seed, data, device and engine.

    Attributes:
        id: how the study calls it, a text such as ``20b``.
        own: settings that tell it from other rows, by their dotted keys.
        shared: all other settings of its training, by their dotted keys: the study's conditions, else the defaults.
        experiment: experiment file that holds its settings, None where there is none.
        table: number of the table that lists it, None for no table.
        words: title as given, '' for one made of its settings.
        published: published test metrics, None for a row that was never tested.
        arguments: arguments of ``cxr-run`` that make its runs, but for seeds and data.
    """

    id: str
    own: Mapping[str, Any]
    shared: Mapping[str, Any] = field(default_factory=dict)
    experiment: str | None = None
    table: int | None = None
    words: str = ""
    published: Published | None = None
    arguments: tuple[str, ...] = ()

    def settings(self) -> dict[str, Any]:
        """Return what distinguishes the row from the others, as dotted keys of a configuration."""
        return dict(self.own)

    def changed(self, **settings: Any) -> "Row":
        """Return the same row with other settings, ``optimizer__lr`` standing for ``optimizer.lr``."""
        return replace(self, own={**self.own, **{key.replace("__", "."): value for key, value in settings.items()}})

    def setting(self, key: str) -> Any:
        """Return a setting by its dotted key; None where the row's model or optimizer has none of that name."""
        return self.own.get(key, self.shared.get(key))

    @property
    def family(self) -> str:
        """Name of the model, as in ``model=cnn``."""
        return str(self.setting("model.name"))

    @property
    def layers(self) -> int:
        """Linear layers, the last one included; 1 of a model without that setting."""
        return int(self.setting("model.layers") or 1)

    @property
    def hidden(self) -> int | None:
        """Units of a layer, or filters of a convolution."""
        return self.setting("model.hidden")  # type: ignore[no-any-return]

    @property
    def kernel_size(self) -> int | None:
        """Side of the filters of a CNN."""
        return self.setting("model.kernel_size")  # type: ignore[no-any-return]

    @property
    def optimizer(self) -> str:
        """Name of the optimizer."""
        return str(self.setting("optimizer.name"))

    @property
    def lr(self) -> float:
        """Learning rate."""
        return float(self.setting("optimizer.lr"))

    @property
    def pos_weight(self) -> float | None:
        """Weight of the positive class: None without, nan where it follows from the training images."""
        given = self.setting("loss.pos_weight")
        return math.nan if given == "balanced" else given

    @property
    def weighted(self) -> bool:
        """Whether the loss has a class weight."""
        return self.pos_weight is not None

    @property
    def batch_size(self) -> int:
        """Size of batches in training and in evaluation."""
        return int(self.setting("batch_size"))

    @property
    def epochs(self) -> int:
        """Passes over the training split."""
        return int(self.setting("epochs"))

    @property
    def run_name(self) -> str:
        """What ``cxr-study`` calls its runs."""
        return self.experiment or self.id

    @property
    def title(self) -> str:
        """The row in words, e.g. ``Linear+ReLU, 2 layers, 10 units, weighted``."""
        if self.words:
            return self.words
        named = self.setting("model.arch") or self.setting("model.target")  # of networks that are not of this package
        words = [str(named or FAMILIES.get(self.family, self.family))]
        words += [f"{name} {value}" for name, value in (self.setting(ARGUMENTS) or {}).items()]
        words += [f"{self.layers} layers"] * (self.setting("model.layers") is not None)
        if self.kernel_size is not None:
            words += [f"{self.hidden} filters {self.kernel_size}x{self.kernel_size}"]
        elif self.hidden is not None:
            words += [f"{self.hidden} units"]
        optimizer = [] if self.optimizer == "sgd" else [self.optimizer.capitalize()]
        return ", ".join([*words, *["weighted"] * self.weighted, *optimizer])

    @property
    def weight_words(self) -> str:
        """The class weight in words."""
        given = self.setting("loss.pos_weight")
        return "none" if given is None else f"{given:g}" if isinstance(given, int | float) else str(given)


def flatten_config(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested configuration by dotted keys; what a class of the user's is given is one value."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and f"{prefix}{key}" != ARGUMENTS:
            flat |= flatten_config(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def nest_settings(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by dotted keys as a nested configuration."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, last = key.split(".")
        inner = nested
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
    return nested


def same_setting(given: object, value: object) -> bool:
    """Compare two settings: numbers up to the rounding of a float, and 0 is not false."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        return type(given) is type(value) and given == value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isclose(given, value)
    except OverflowError:  # a whole number beyond all floats
        return False
