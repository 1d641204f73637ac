"""Every file and every command of docs/configuration.md, in the order of the page."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Answer
from odd_sets import CLASSES, plant

PAGE = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = re.findall(r"^## [^\n]*`(mine/[^`]+)`\n\n```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SMALL = ("data.image_size=32", "epochs=1")


@pytest.fixture
def folder(elsewhere: Path) -> Path:
    """The working directory: images, and the files of the page."""
    plant(elsewhere / "XRAYS", CLASSES, name="p{n:03d}_1.png")
    for name, text in FILES:
        (elsewhere / name).parent.mkdir(parents=True, exist_ok=True)
        (elsewhere / name).write_text(text, "utf-8")
    return elsewhere


def test_the_page_has_a_file_of_each_kind_and_shows_where_it_lies() -> None:
    assert [name for name, _ in FILES] == [
        "mine/data/ward.yaml",
        "mine/experiment/small_cnn.yaml",
        "mine/model/wide.yaml",
    ]
    (tree,) = re.findall(r"^```\nmine/\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert [f"mine/{line.split()[0]}" for line in tree.splitlines()] == [name for name, _ in FILES]


@pytest.mark.long
def test_every_command_does_what_it_is_for(
    folder: Path, cxr_run: Callable[..., Answer], cxr_data: Callable[..., Answer]
) -> None:
    for text in BLOCKS:
        for line in text.splitlines():
            command, *arguments = shlex.split(line)
            answer = _call(command, arguments, cxr_run, cxr_data)
            assert (answer.code, answer.err) == (0, ""), line
    names = {path.parent.name.rpartition("-")[0] for path in folder.glob("outputs/runs/*/seed=0")}
    assert names == {"linear", "small_cnn", "small_cnn_slow", "table1_20"}


def _call(
    command: str, arguments: list[str], cxr_run: Callable[..., Answer], cxr_data: Callable[..., Answer]
) -> Answer:
    if command == "cxr-data":
        return cxr_data(*arguments)
    looks = {"--help", "--cfg"} & set(arguments)
    keys = {argument.partition("=")[0] for argument in arguments}
    small = [one for one in SMALL if one.partition("=")[0] not in keys]
    return cxr_run(*arguments, *([] if looks else [*small, "progress=lines"]))
