"""Every command of docs/models.md, in the order of the page, with the class that it shows."""

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torchvision import models

from conftest import Answer
from odd_sets import CLASSES, plant

PAGE = (Path(__file__).parents[1] / "docs" / "models.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SMALL = ("epochs=1", "plots=never", "progress=lines", "device=cpu")


@pytest.fixture
def folder(elsewhere: Path) -> Iterator[Path]:
    """The working directory: images, the class of the page, and weights."""
    plant(elsewhere / "XRAYS", CLASSES, name="p{n:03d}_1.png")
    (kind, text), *_ = BLOCKS
    assert kind == "python"
    (elsewhere / "mynet.py").write_text(text, "utf-8")
    torch.save(models.resnet18(num_classes=2).state_dict(), elsewhere / "WEIGHTS.pth")
    yield elsewhere
    sys.modules.pop("mynet", None)


def with_ids(text: str) -> str:
    """Put in the ids of the first runs of their names."""
    for name in ("custom", "torchvision"):
        if f"{name}-ID" in text:
            first = min(Path("outputs/runs").glob(f"{name}-*"), key=lambda path: path.stat().st_mtime_ns)
            text = text.replace(f"{name}-ID", first.name)
    return text


@pytest.mark.long
def test_every_command_does_what_it_is_for(
    folder: Path, cxr_run: Callable[..., Answer], cxr_model: Callable[..., Answer]
) -> None:
    said = ""
    for kind, text in BLOCKS[1:]:
        if kind == "python":
            exec(compile(with_ids(text), "docs/models.md", "exec"), {})
            continue
        for line in text.replace("\\\n", " ").splitlines():
            command, *words = shlex.split(with_ids(line))
            answer = cxr_model(*words) if command == "cxr-model" else cxr_run(*words, *SMALL)
            assert (answer.code, answer.err) == (0, ""), line
            said += answer.out
    runs = {path.parent.name.rpartition("-")[0] for path in folder.glob("outputs/runs/*/seed=0")}
    assert runs == {"custom", "torchvision", "further", "resnet18", "heads", "net_heads"}
    assert len(list(folder.glob("outputs/runs/custom-*"))) == 2  # widths
    assert len(list(folder.glob("outputs/runs/heads-*/seed=*"))) == 12
    assert said.count("engine: gram") >= 4
    assert "but for the last layer, fc, which has the shape [2, 512] there" in said
    assert (folder / "model.pt2").is_file()
