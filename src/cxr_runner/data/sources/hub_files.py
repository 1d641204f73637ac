"""Which parquet files of a set belong to which split: by patterns, or as the usual layouts name them."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.data.sources import SPLITS, PassedOver
from cxr_runner.data.sources.names import fold, split_of

if TYPE_CHECKING:
    from cxr_runner.data.sources.hub_set import HubSet

# train-00000-of-00004, train-00000-of-00004-8b6e212f3e1ece96, train_0
_SHARD = re.compile(r"[-_.]?\d+(?:-of-\d+)?(?:-[0-9a-f]{8,})?$")
_PARTIAL = "partial-"  # folder of a split of which the Hub has converted the first gigabytes only
_DEFAULT = "default"  # how the Hub calls the only configuration of a set


class Chosen(NamedTuple):
    """The files to read.

    Attributes:
        files: names by split, in the order in which they are read; None where there are no splits.
        notes: lines on what was made of the names without being asked for.
        passed_over: files in no split, counted.
    """

    files: dict[str | None, list[str]]
    notes: tuple[str, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()


def choose_files(names: Sequence[str], described: "HubSet") -> Chosen:
    """Choose the files to read, and their splits.

    Args:
        names: parquet files of the set, sorted.
        described: set, with its patterns.

    Raises:
        UserError: a pattern fits nothing or what another one fits, or the set has several configurations.
    """
    placed = {name: _place(name) for name in names}
    by_pattern = bool(described.patterns.given())
    if described.config is not None or not by_pattern:
        config = _choose_config(list(dict.fromkeys(config for config, _ in placed.values())), described)
        placed = {name: place for name, place in placed.items() if place[0] == config}
    if by_pattern:
        return Chosen(_choose_by_pattern(list(placed), described))
    by_split: dict[str | None, list[str]] = {}
    for wanted in (*SPLITS, None):
        if fitting := [name for name, (_, split) in placed.items() if split == wanted]:
            by_split[wanted] = fitting
    if len(by_split) == 1:
        return Chosen(by_split, _notes(by_split))
    stray = by_split.pop(None, [])
    passed_over = (PassedOver(".parquet", "named after no split", len(stray)),) if stray else ()
    return Chosen(by_split, _notes(by_split), passed_over)


def _choose_by_pattern(names: Sequence[str], described: "HubSet") -> dict[str | None, list[str]]:
    chosen: dict[str | None, list[str]] = {}
    taken: dict[str, str] = {}
    for split, pattern in described.patterns.given().items():
        fitting = [name for name in names if name == pattern] or [name for name in names if fnmatchcase(name, pattern)]
        key = f"data.files.{split}"
        if not fitting:
            nearest = get_close_matches(pattern, names, n=5, cutoff=0) or list(names)
            valid = f"fits none of the {len(names):,} parquet files, such as {list_few(nearest, most=3)}"
            raise UserError.for_key(key, pattern, valid)
        if twice := [name for name in fitting if name in taken]:
            valid = f"fits {twice[0]}, which data.files.{taken[twice[0]]} fits too: a file belongs to one split"
            raise UserError.for_key(key, pattern, valid)
        taken.update(dict.fromkeys(fitting, split))
        chosen[split] = fitting
    return chosen


def _choose_config(configs: Sequence[str], described: "HubSet") -> str:
    spelled = {fold(config): config for config in configs}
    listed = list_few(sorted(configs), most=8)
    if described.config is not None:
        if fold(described.config) in spelled:
            return spelled[fold(described.config)]
        raise UserError.for_key("data.config", described.config, f"no such configuration, valid are {listed}")
    if len(configs) == 1:
        return configs[0]
    # datasets calls the one at the top default, but to take it would hide the others from whoever has not seen them.
    valid = f"the set has several configurations, choose one of {listed}, or files with data.files.train=PATTERN"
    raise UserError.for_key("data.config", None, valid)


def _place(name: str) -> tuple[str, str | None]:
    """Read configuration and split off the name of a file: of the first folder called like a split, else of the file.

    ``data/train-00000-of-00001.parquet``, ``full/train/0000.parquet`` and ``train.parquet`` are the usual ones.
    """
    *folders, file = name.split("/")
    for position, folder in enumerate(folders):
        if split := split_of(folder.removeprefix(_PARTIAL)):
            return _config_of(folders[:position]), split
    return _config_of(folders), _split_in(file[: -len(".parquet")])


def _config_of(folders: Sequence[str]) -> str:
    return "/".join(folder for folder in folders if fold(folder) != "data") or _DEFAULT


def _split_in(stem: str) -> str | None:
    """Return the split that a file is named after, as a whole or by one word in its name."""
    whole = split_of(_SHARD.sub("", stem))
    words = {split for word in re.split(r"[-_. ]|\d+", stem) if word and (split := split_of(word))}
    return whole or (words.pop() if len(words) == 1 else None)


def _notes(files: dict[str | None, list[str]]) -> tuple[str, ...]:
    partial = [name for some in files.values() for name in some if f"/{_PARTIAL}" in f"/{name}"]
    if not partial:
        return ()
    return (f"the Hub has converted the first part of the set only ({list_few(partial, most=1)})",)
