"""What is told of a set on the Hugging Face Hub before any of its files is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_runner.base.checksums import digest
from cxr_runner.base.errors import UserError
from cxr_runner.data.sources import About

if TYPE_CHECKING:  # imports of this module would lengthen the longest chain of them
    from cxr_runner.data.sources.classes import Names
    from cxr_runner.data.sources.hub_preset import KnownSet

_OPTIONS = "hub, first form"  # differs from that of stores that other readings of the same options have built


@dataclass(frozen=True)
class Columns:
    """Names of columns; None where they are to be found."""

    image: str | None = None
    label: str | None = None
    split: str | None = None
    patient: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Patterns:
    """Which files belong to which split, as paths with wildcards; all None takes the usual layouts."""

    train: str | None = None
    val: str | None = None
    test: str | None = None

    def given(self) -> dict[str, str]:
        """Return the patterns that there are, by split."""
        splits = {"train": self.train, "val": self.val, "test": self.test}
        return {split: pattern for split, pattern in splits.items() if pattern is not None}


@dataclass(frozen=True)
class HubSet:
    """A set on the Hub and what is to be made of it; as in :class:`~cxr_runner.config.schema.HubConfig`.

    Attributes:
        repo: owner and name.
        about: title and citation.
        revision: commit, branch or tag; None takes main, or the Hub's conversion of it.
        config: which of its configurations; None where it has one.
        patterns: files of the splits.
        columns: columns to read.
        positive: classes coded 1.
        negative: classes coded 0.
        ignore: classes left out.
        allow_unused: share of the rows that may lack a label or a split.
        preset: what is insisted on, where the set is known.
    """

    repo: str
    about: About
    revision: str | None = None
    config: str | None = None
    patterns: Patterns = Patterns()
    columns: Columns = Columns()
    positive: "Names" = None
    negative: "Names" = None
    ignore: "Names" = None
    allow_unused: float = 0.05
    preset: "KnownSet | None" = None

    def options(self) -> str:
        """Return a digest of what decides the listing of given files; '' of a preset, whose files decide everything."""
        if self.preset:
            return ""
        chosen = (self.config, self.patterns, self.columns, self.positive, self.negative, self.ignore)
        return digest(repr((_OPTIONS, *chosen, self.allow_unused)), 16)

    def error(self, valid: str, path: Path | None = None) -> UserError:
        """Return an error about the set, or about the local copy at ``path``."""
        if path is not None:
            return UserError.for_key("data.path", path, valid)
        if self.preset:
            return UserError.for_key("data", self.preset.choice, valid)
        return UserError.for_key("data.repo", self.repo, valid)
