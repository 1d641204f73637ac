"""Every command of docs/baselines.md and docs/answers.md is one that ``cxr-run`` takes."""

import re
import shlex
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from cxr_runner.config.compose import compose

DOCS = Path(__file__).parents[1] / "docs"


def commands() -> Iterator[str]:
    """Yield the commands, each on one line."""
    for page in ("baselines.md", "answers.md"):
        for block in re.findall(r"```sh\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines()
            yield from (line for line in lines if line.startswith(("cxr-run", "cxr-data describe")))


def jobs(command: str) -> Iterator[list[str]]:
    """Yield the arguments of every job of a command, without the images, which are not at hand."""
    _, *arguments = shlex.split(command, comments=True)
    settings = [one for one in arguments if "=" in one and not one.startswith(("data=", "data.root="))]
    pairs = [(key, values.split(",")) for key, _, values in (one.partition("=") for one in settings)]
    for values in product(*(values for _, values in pairs)):
        yield [f"{key}={value}" for (key, _), value in zip(pairs, values, strict=True)]


@pytest.mark.parametrize("command", list(commands()))
def test_the_command_is_understood(command: str) -> None:
    sweep = " -m " in command
    every = list(jobs(command))
    assert len(every) == 1 or sweep
    for job in every[:8]:
        assert compose(job, set_aside=sweep)
