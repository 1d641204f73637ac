"""The claims of a study, and what has to be true of runs for each to hold, as its file states it.

What is here is read, never computed: the numbers are in :mod:`cxr_runner.report.compare.claims.run_numbers`, the
decisions in :mod:`cxr_runner.report.compare.claims.verdicts`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

Expectation = Literal[
    "higher",
    "lower",
    "not higher",
    "not lower",
    "much higher",
    "alike",
    "above",
    "about",
    "often",
    "often not",
    "never",
]
# A number that is a name needs no quotes.
RowId = Annotated[str, BeforeValidator(lambda given: str(given) if type(given) is int else given), Field(min_length=1)]
# One row may stand without brackets.
Group = Annotated[
    tuple[RowId, ...], BeforeValidator(lambda given: tuple(given) if isinstance(given, list) else (given,))
]


STATISTICS: dict[str, tuple[str, ...]] = {
    "slowness": (),
    "train_level": ("last",),
    "val_level": ("last",),
    "swing_accuracy": ("from",),
    "swing_loss": ("from",),
    "converged": ("last", "below"),
    "overfits": ("falls", "swings"),
    "accuracy": (),
    "recall": (),
    "specificity": (),
    "f1": (),
    "auroc": (),
    "seconds": (),
}
"""What a definition may be of, with the parameters that it needs; ``docs/study.md`` says how each is computed."""


@dataclass(frozen=True)
class Definition:
    """One number by which claims are tested, computed from each run.

    Attributes:
        id: short name.
        name: name in words, for tables.
        says: how it is computed.
        because: why so.
        parameters: thresholds in ``says``.
        margin: a smaller difference is called none; 0 where no claim needs one.
    """

    id: str
    name: str
    says: str
    because: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    margin: float = 0.0


@dataclass(frozen=True)
class Rules:
    """How claims are decided.

    Attributes:
        level: level of all claims together, of either verdict.
        power: power at which the seeds and images that a claim would need are counted.
        min_seeds: number of seeds below which there is no verdict.
        much: how many times as high "much higher" is at least.
        often: share of seeds from which on a model is said to do a thing, or not to.
        never: ``counterexamples`` that refute a claim that something never happens; the ``seeds`` at each setting
            and the ``share`` of all models with a seed against which it can be supported.
    """

    level: float = 0.05
    power: float = 0.8
    min_seeds: int = 3
    much: float = 2.0
    often: float = 0.2
    never: Mapping[str, int | float] = field(default_factory=lambda: {"counterexamples": 2, "seeds": 10, "share": 0.1})


@dataclass(frozen=True)
class Condition:
    """What has to be true of one number for a claim to hold, of every pair or every row.

    Attributes:
        statistic: id of a definition.
        expect: how the second of a pair stands to the first, or what is true of each row.
        pairs: pairs of groups of rows.
        rows: rows where ``expect`` is about rows.
        spread: whether a group stands for the variance between its rows, else for their mean.
        bound: bound of ``above``, middle of ``about``.
        lrs: learning rates at which the rows are looked at; empty for those of the rows.
        beside: rows that are shown with the others, and not judged.
    """

    statistic: str
    expect: Expectation
    pairs: tuple[tuple[Group, Group], ...] = ()
    rows: tuple[RowId, ...] = ()
    spread: bool = False
    bound: float = 0.0
    lrs: tuple[float, ...] = ()
    beside: tuple[RowId, ...] = ()


@dataclass(frozen=True)
class Claim:
    """One conclusion of the study.

    Attributes:
        id: short name.
        rows: ids of the models that it is about.
        says: claim in our words.
        conditions: conditions that all have to hold.
        source: where it stands in the study, '' where it is claimed in the file alone.
        because: why it is claimed, '' where the study says so.
        figure: number of the study's figure that shows it best, None where there is none.
    """

    id: str
    rows: tuple[RowId, ...]
    says: str
    conditions: Annotated[tuple[Condition, ...], Field(min_length=1)]
    source: str = ""
    because: str = ""
    figure: int | None = None
