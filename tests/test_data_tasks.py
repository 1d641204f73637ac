"""cxr-data describe and prepare."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Answer
from cxr_runner.base.progress import Reporter
from cxr_runner.commands.data import describe, describing, perform
from cxr_runner.config.compose import compose
from cxr_runner.data.dataset import open_dataset

TINY = ("data.num_images=40", "data.image_size=16", "progress=none")


def test_a_description_is_what_the_data_set_says_of_itself(elsewhere: Path) -> None:
    config = compose(TINY)[0].data
    fresh, store = describe(config, Reporter())
    kept, _ = describe(config, Reporter())
    assert fresh == kept == open_dataset(config, Reporter()).describe()
    lines = describing(kept, store, 16)
    assert lines[0] == "synthetic phantom data"
    assert "  images       40" in lines
    assert f"  fingerprint  {kept['fingerprint']}" in lines


def test_data_of_a_configuration_file_of_ones_own_are_described(cxr_data: Callable[..., Answer]) -> None:
    (Path("mine") / "data").mkdir(parents=True)
    (Path("mine") / "data" / "ward.yaml").write_text("defaults: [phantom]\nnum_images: 48\nimage_size: 16\n")
    answer = cxr_data("describe", "--config-dir", "mine", "data=ward")
    assert (answer.code, answer.err) == (0, "")
    assert "  images       48" in answer.out
    wrong = cxr_data("describe", "--config-dir", "nowhere", "data=ward")
    assert (wrong.code, wrong.err) == (2, "cxr-data: --config-dir=nowhere: no such folder\n")


def test_mistakes_in_options_are_one_line(cxr_data: Callable[..., Answer]) -> None:
    answer = cxr_data("describe", "--nonsense", "data.num_images=48")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "cxr-data --help shows what is understood" in answer.err


def test_another_split_has_another_description(elsewhere: Path) -> None:
    one, other = (compose([*TINY, f"data.split.seed={seed}"])[0].data for seed in (0, 1))
    assert describe(one, Reporter())[0]["fingerprint"] != describe(other, Reporter())[0]["fingerprint"]


def test_what_was_opened_before_is_described_without_pandas_and_torch(elsewhere: Path) -> None:
    open_dataset(compose(TINY)[0].data, Reporter())
    code = (
        "import sys\n"
        "from cxr_runner.commands.data import perform\n"
        f"perform('describe', {list(TINY)!r})\n"
        "heavy = {'torch', 'pandas', 'scipy', 'sklearn', 'matplotlib', 'datasets'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    process = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "fingerprint" in process.stdout


def test_a_damaged_description_is_made_anew(elsewhere: Path) -> None:
    config = compose(TINY)[0].data
    description, store = describe(config, Reporter())
    for path in (store / "descriptions").iterdir():
        path.write_text("{")
    assert describe(config, Reporter())[0] == description
    assert any(path.read_text() != "{" for path in (store / "descriptions").iterdir())


@pytest.mark.parametrize(("model", "built"), [("linear", True), ("cnn", False)])
def test_preparing_builds_the_gram_matrix_where_runs_would_use_it(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: str, built: bool
) -> None:
    monkeypatch.setenv("CXR_CACHE", str(elsewhere / "cache"))
    perform("prepare", [*TINY[:2], "progress=lines", f"model={model}"])
    (store,) = (path for path in (elsewhere / "cache").iterdir() if path.is_dir())
    assert (store / "images.npy").is_file()
    assert any(store.glob("*/gram.npy")) == built
    assert ("no Gram matrix" in capsys.readouterr().out) != built
    assert not Path("outputs").exists()
