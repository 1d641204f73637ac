"""The text of ``cxr-run --help``: the configuration files themselves, with their comments.

Hydra's help would compose every choice of every group first, which takes longer than reading this.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from textwrap import fill

_HEAD = """\
cxr-run trains small classifiers of chest X-rays, one or a sweep of them, and keeps what it measured.

Usage: cxr-run [KEY=VALUE ...]            one run, or several with seeds=N
       cxr-run -m KEY=VALUE,VALUE ...     a sweep over all combinations
       cxr-run --cfg job [KEY=VALUE ...]  show the configuration, run nothing
       cxr-run GROUP=CHOICE --help        show a choice in full, e.g. model=cnn
       cxr-run -sc install=bash           shell completion (zsh, fish)
       cxr-run --hydra-help               what else Hydra understands

Examples:
  cxr-run model=cnn optimizer=sgd loss.pos_weight=0.37
  cxr-run data=folder data.root=~/xrays epochs=50 seeds=10
  cxr-run data=folder data.root='/data/胸片 (2024)' data.positive=肺炎
  cxr-run -m model=linear,linear_relu loss.pos_weight=null,balanced seeds=5
  cxr-run -m search=lr model=linear

Paths, names and titles need no quotes but those of the shell: they are taken as they are.

Results: OUTPUTS/runs/NAME-ID/seed=SEED; tables and figures of all runs: cxr-report
"""
_GROUPS = ("data", "model", "optimizer")  # whose choices have different keys


def usage() -> str:
    """Return the help of ``cxr-run``: usage, all choices, and all keys with their defaults."""
    conf = files("cxr_runner.conf")
    groups = (*_GROUPS, "experiment", "search")
    choices = [fill(f"{group}: {', '.join(_choices(conf / group))}", 100, subsequent_indent="  ") for group in groups]
    keys = [indented(text) for text in _sections((conf / "config.yaml").read_text("utf-8"))]
    for group in _GROUPS:
        for choice in _choices(conf / group):
            keys.append(f"  {group}={choice}, with {group}.KEY=VALUE:\n")
            keys.append(indented((conf / group / f"{choice}.yaml").read_text("utf-8"), 4))
    for combination in _choices(conf / "optimizer" / "lr"):
        optimizer, _, model = combination.partition("_")
        keys.append(f"  optimizer={optimizer} with model={model}:\n")
        keys.append(indented((conf / "optimizer" / "lr" / f"{combination}.yaml").read_text("utf-8"), 4))
    return "\n".join([_HEAD, "Choices", *choices, "", "Keys and defaults (override as KEY=VALUE)", "", *keys])


def _choices(group: Traversable) -> list[str]:
    return sorted(file.name.removesuffix(".yaml") for file in group.iterdir() if file.name.endswith(".yaml"))


def _sections(text: str) -> list[str]:
    """Return the paragraphs of the main configuration file that hold keys of a run."""
    paragraphs = text.split("\n\n")
    return [paragraph + "\n" for paragraph in paragraphs if "defaults:" not in paragraph and "hydra:" not in paragraph]


def indented(text: str, by: int = 2) -> str:
    """Return a text with spaces before every line."""
    return "".join(" " * by + line + "\n" for line in text.splitlines())
