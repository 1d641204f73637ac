"""Text is text: on the command line, in YAML, in Python, and in what a run leaves."""

import subprocess
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

import cxr_runner
from conftest import Answer
from cxr_runner.base.errors import UserError
from cxr_runner.base.files import read_yaml, write_yaml
from cxr_runner.config.compose import compose
from cxr_runner.config.text import is_text_key
from installed import installed

Command = Callable[..., Answer]

ODD = [
    *("胸片", "肺炎 (2024)", unicodedata.normalize("NFC", "Neumonía"), unicodedata.normalize("NFD", "Neumonía")),
    *("1", "2024", "1.0", "01", "1e3", "0x1F", "1_000", "true", "NO", "off", "nan", "NULL", "~", "???", "2020-01-01"),
    *(
        "$HOME",
        "${outputs}",
        "${",
        "a ${b",
        r"\${x}",
        r"\\${x}",
        "a=b",
        "==",
        "'",
        '"',
        "'a'",
        '"a, b"',
        "\\",
        "\\'",
        "a\\",
    ),
    *("a,b", "[A,B]", "{a: b}", "choice(a,b)", "range(1,3)", "glob(*)", "a: b", "# no comment", "a #b", "- x", "& ; !"),
    *(
        " before and behind ",
        "tab\tbetween",
        "",
        "text:x",
        "%25",
        "@x",
        "+a",
        "-m",
        "--help",
        "|",
        ">",
        "\x85",
        "\u2028",
    ),
    *(r"(\d+)_\d+", r"^[^/]+/(?P<patient>p\d+),", r"person\d+|NORMAL2-IM-\d+", "[^_]*", r"\\server\share\x"),
]
ANY_TEXT = st.text(st.characters(exclude_characters="\0\n", exclude_categories=["Cs"])).filter(
    lambda text: text != "null"
)
FOLDER = ("data=folder", "data.root=xrays")
# Hypothesis may call a test many times with one fixture: what these return holds nothing of a call.
often = settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


HARD = [  # the first four make a mess of most that is not careful
    r"""胸片 ${x} \${y} #&;!()[]{} 'a' "b" \ , = """,
    "${",
    "2024",
    "NO",
    "???",
    "a,b",
    "\\'",
    "a\\",
    "",
    r"^[^/]+/(?P<a>p\d+),",
]


def with_examples(texts: Sequence[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def add(test: Callable[..., None]) -> Callable[..., None]:
        for text in texts:
            test = example(text=text)(test)
        return test

    return add


@pytest.mark.parametrize(
    "key",
    "data.root data.path data.file data.repo data.label_column data.patient_column data.where data.positive "
    "data.negative data.ignore data.label_separator data.title data.citation data.patient_pattern data.revision "
    "data.split_files.train data.columns.image outputs name model.weights model.target".split(),
)
def test_these_keys_are_text(key: str) -> None:
    assert is_text_key(key)


@pytest.mark.parametrize("key", "data data.name data.image_size model.name model epochs device data.split.seed".split())
def test_other_keys_are_not(key: str) -> None:
    assert not is_text_key(key)


@often
@with_examples(ODD)
@given(text=ANY_TEXT)
def test_any_text_comes_through_the_command_line(text: str) -> None:
    (run,) = compose([*FOLDER, f"data.title={text}", f"++outputs=x{text}", f"data.citation={text},{text}"])
    assert (run.data.title, run.outputs, run.data.citation) == (text, f"x{text}", f"{text},{text}")


@often
@with_examples(HARD)
@given(text=ANY_TEXT)
def test_any_text_comes_through_python(text: str) -> None:
    (run,) = compose({"data": "folder", "data.root": "xrays", "data.title": text}, {"++outputs": f"x{text}"})
    assert (run.data.title, run.outputs) == (text, f"x{text}")


@often
@with_examples(HARD)
@given(text=ANY_TEXT.filter(lambda text: "\x85" not in text))  # PyYAML shows it, but does not read it back
def test_the_configuration_is_shown_with_the_text_as_it_is(cxr_run: Command, text: str) -> None:
    answer = cxr_run(*FOLDER, f"data.title={text}", "--cfg", "job")
    assert (answer.code, answer.err) == (0, "")
    assert yaml.safe_load(answer.out)["data"]["title"] == text


@pytest.mark.parametrize("text", ["胸片 ${x} (2024)", r"C:\x, y ", "NO"])
def test_what_is_shown_has_no_trace_of_a_disguise(cxr_run: Command, text: str) -> None:
    shown = cxr_run("--cfg", "job", *FOLDER, f"data.title={text}").out
    (line,) = (line for line in shown.splitlines() if line.startswith("  title: "))
    assert line.removeprefix("  title: ").strip("'") == text
    assert "text:" not in shown


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The runs that a command asks for; none is trained."""
    from cxr_runner.experiment import sweep

    runs: list[Any] = []

    def note(wanted: Sequence[Any], _: object) -> list[sweep.Outcome]:
        runs[:] = wanted
        return [sweep.Outcome(None, 0.5) for _ in wanted]

    monkeypatch.setattr(sweep, "run_sweep", note)
    return runs


@settings(often, max_examples=2)
@with_examples(HARD[:4])
@given(text=ANY_TEXT)
def test_a_sweep_takes_text_whole_in_every_job(cxr_run: Command, asked_for: list[Any], text: str) -> None:
    answer = cxr_run("model=linear,cnn", f"data.title={text}", "-m", *FOLDER, f"data.citation={text}, x")
    assert (answer.code, answer.err) == (0, "")
    assert [run.model.name for run in asked_for] == ["linear", "cnn"]
    assert {(run.data.title, run.data.citation) for run in asked_for} == {(text, f"{text}, x")}


def test_a_sweep_goes_to_outputs_as_they_are_written(cxr_run: Command, elsewhere: Path) -> None:
    outputs = "胸片 ${x}, [1] 'a'"
    tiny = ("data.num_images=40", "data.image_size=16", "epochs=1", "progress=none", "plots=never")
    assert cxr_run("-m", "seed=0,1", f"outputs={outputs}", *tiny).code == 0
    assert sorted(path.name for path in (elsewhere / outputs).iterdir()) == ["runs", "samples", "sweeps"]
    assert len(list((elsewhere / outputs).glob("runs/*/seed=*/metrics.json"))) == 2


@pytest.mark.parametrize("prefix", ["", "++"])
def test_a_bare_null_means_none(prefix: str) -> None:
    (run,) = compose([*FOLDER, "data.positive=x", f"{prefix}data.positive=null"])
    assert run.data.positive is None


@pytest.mark.parametrize("key", ["data.positive", "name"])
def test_a_text_of_none_in_python_means_none_and_the_word_is_text(key: str) -> None:
    folder = {"data": "folder", "data.root": "xrays"}
    (none,), (word,) = compose(folder | {key: None}), compose(folder | {key: "null"})
    group, _, leaf = key.rpartition(".")
    for run, value in ((none, None), (word, "null")):
        assert getattr(run.data if group else run, leaf) == value


# YAML


@pytest.fixture
def experiment(elsewhere: Path) -> Callable[[str], Path]:
    """Writes an experiment file of the user's own, for ``--config-dir mine experiment=own``."""

    def write(text: str) -> Path:
        path = elsewhere / "mine" / "experiment" / "own.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8", newline="")
        return path

    return write


OWN = ("--config-dir", "mine", "experiment=own")
HEAD = "# @package _global_\ndefaults:\n  - override /data: folder\n"


@pytest.mark.parametrize(
    "written",
    "NO no Yes on off true False 1 2024 1.0 01 0x1F 1e3 1_000 .5 +1 12:30 2020-01-01 .inf 胸片 ${x} ${".split(),
)
def test_yaml_gives_what_is_written(
    cxr_run: Command, asked_for: list[Any], experiment: Callable[[str], Path], written: str
) -> None:
    experiment(f"{HEAD}data:\n  root: xrays\n  positive: {written}\n  title: '{written}'\noutputs: {written}\n")
    answer = cxr_run(*OWN)
    assert (answer.code, answer.err) == (0, "")
    (run,) = asked_for
    assert (run.data.positive, run.data.title, run.outputs) == (written,) * 3


@often
@with_examples(HARD)
@given(text=ANY_TEXT)
def test_any_text_comes_through_yaml(
    cxr_run: Command, asked_for: list[Any], experiment: Callable[[str], Path], text: str
) -> None:
    content = {"data": {"root": "xrays", "title": text}}
    experiment(HEAD + yaml.safe_dump(content, default_style='"', allow_unicode=True))
    answer = cxr_run(*OWN)
    assert (answer.code, answer.err) == (0, "")
    assert asked_for[0].data.title == text


@pytest.mark.parametrize("written", ["null", "~", ""])
def test_none_in_yaml_is_none_given(
    cxr_run: Command, asked_for: list[Any], experiment: Callable[[str], Path], written: str
) -> None:
    experiment(f"{HEAD}data:\n  root: xrays\n  positive: {written}\n")
    assert cxr_run(*OWN).code == 0
    assert asked_for[0].data.positive is None


def test_anchors_merges_and_blocks_in_yaml_are_text_too(
    cxr_run: Command, asked_for: list[Any], experiment: Callable[[str], Path]
) -> None:
    experiment(
        f"{HEAD}data:\n  <<: {{root: &root 0, title: *root}}\n  positive: *root\n  citation: |\n    ${{x}}\n    1\n"
    )
    assert cxr_run(*OWN).code == 0
    data = asked_for[0].data
    assert (data.root, data.title, data.positive, data.citation) == ("0", "0", "0", "${x}\n1\n")


def test_a_file_of_a_group_is_read_the_same_way(cxr_run: Command, asked_for: list[Any], elsewhere: Path) -> None:
    group = elsewhere / "mine" / "data"
    group.mkdir(parents=True)
    (group / "ward.yaml").write_text("defaults: [folder]\nroot: 7\npositive: ON\n")
    assert cxr_run("--config-dir", "mine", "data=ward").code == 0
    assert (asked_for[0].data.root, asked_for[0].data.positive) == ("7", "ON")


@pytest.mark.parametrize("source", ["yaml", "python"])
def test_a_list_stays_a_list_with_its_text(source: str, cxr_run: Command, experiment: Callable[[str], Path]) -> None:
    if source == "yaml":
        experiment(f"{HEAD}data:\n  root: xrays\n  positive: [NO, 1, 'a, b']\n")
        shown = yaml.safe_load(cxr_run(*OWN, "--cfg", "job").out)
        assert shown["data"]["positive"] == ["NO", "1", "a, b"]
    else:
        values = {"data": "folder", "data.root": "xrays", "data.positive": ["NO", 1, "a, b"]}
        assert compose(values)[0].data.positive == ("NO", "1", "a, b")


def test_brackets_on_the_command_line_are_text(cxr_run: Command) -> None:
    shown = yaml.safe_load(cxr_run(*FOLDER, "data.positive=[A,B]", "--cfg", "job").out)
    assert shown["data"]["positive"] == "[A,B]"


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        ("epochs: 1\ndata:\n\timage_size: 16\n", 3, "tab"),
        ("data:\n  image_size: 16\n\tduplicates: keep\n", 3, "tab"),
        ("epochs: 1\nepochs: 2\n", 2, "duplicate key epochs"),
        ("epochs: [1\n", 2, "expected"),
        ("# fine\nname: \x01\n", 2, "not allowed"),
    ],
)
def test_a_mistake_in_yaml_is_named_with_file_and_line(
    cxr_run: Command, experiment: Callable[[str], Path], content: str, line: int, said: str
) -> None:
    path = experiment(content)
    answer = cxr_run(*OWN)
    assert (answer.code, len(answer.err.splitlines())) == (2, 1)
    assert answer.err.startswith(f"cxr-run: {path}, line {line}: ")
    assert said in answer.err


@pytest.mark.parametrize(
    ("content", "said"), [(b"name: \xe9\n", "UTF-8"), (b"- a\n", "KEY: VALUE"), (b"epochs: ${\n", "epochs: ")]
)
def test_a_file_that_holds_no_configuration_is_named(
    cxr_run: Command, experiment: Callable[[str], Path], content: bytes, said: str
) -> None:
    path = experiment("")
    path.write_bytes(content)
    answer = cxr_run(*OWN)
    assert (answer.code, len(answer.err.splitlines())) == (2, 1)
    assert answer.err.startswith(f"cxr-run: {path}: ")
    assert said in answer.err


def test_bytes_that_are_no_text_are_refused_in_one_line(cxr_run: Command) -> None:
    answer = cxr_run(*FOLDER, "data.title=a\udcff")
    assert answer.code == 2
    assert answer.err == "cxr-run: data.title=a\\udcff: is not text in UTF-8\n"


# Python


def test_python_values_are_values() -> None:
    (run,) = compose(
        {
            "data": {"image_size": np.int64(16), "difficulty": 1},
            "optimizer.lr": 1e-05,
            "loss.pos_weight": None,
            "deterministic": False,
            "outputs": Path("a, b"),
        },
        {"model": "cnn", "name": 7, "epochs": "3"},
    )
    assert (run.data.image_size, run.data.difficulty, run.optimizer.lr, run.loss.pos_weight) == (16, 1.0, 1e-05, None)
    assert (run.deterministic, run.outputs, run.model.name, run.name, run.epochs) == (False, "a, b", "cnn", "7", 3)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"data.positive": True}, "data.positive=true: "),
        ({"outputs": b"x"}, "outputs=b'x': must be text"),
        ({"zebra": 1}, "zebra=1: no such key"),
        ("model=cnn", r"overrides=model=cnn: must be a list, \['model=cnn'\]"),
    ],
)
def test_a_mistake_in_python_is_a_user_error(values: Any, said: str) -> None:
    with pytest.raises(UserError, match=f"^{said}"):
        compose({"data": "folder", "data.root": "x"} | values if isinstance(values, dict) else values)


def test_run_takes_values_by_keys_and_by_keywords(elsewhere: Path) -> None:
    tiny = {"data.num_images": 40, "data.image_size": 16, "epochs": 1, "progress": "none", "outputs": "胸片 ${x}"}
    path = cxr_runner.run(tiny, name="1", seed=3)
    assert path.parent.parent == elsewhere / "胸片 ${x}" / "runs"
    assert (path.name, path.parent.name.split("-")[0]) == ("seed=3", "1")
    config = read_yaml(path / "config.yaml")
    assert (config["outputs"], config["name"]) == ("胸片 ${x}", "1")


# What a run leaves


@pytest.fixture(scope="module")
def xrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of tiny images, in a folder with an odd name."""
    root = tmp_path_factory.mktemp("images") / "胸片 ${a}, [b] 'c' = d"
    rng = np.random.default_rng(0)
    for name in ("1", "NO"):
        (root / name).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"p{number}_{name}.png")
    return root


@pytest.mark.usefixtures("quick_pictures")
@settings(often, max_examples=3)
@example(text=HARD[0])
@example(text="2024")
@example(text="???")
@example(text="\x85 \u2028 \ufeff")
@given(text=ANY_TEXT)
def test_a_finished_run_holds_the_text_verbatim(
    cxr_run: Command, elsewhere: Path, xrays: Path, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outputs = tmp_path_factory.mktemp("outputs") / "a, ${b} "
    line = (
        f"data.root={xrays}",
        f"data.citation={text}",
        f"outputs={outputs}",
        "data.positive=NO",
        r"data.patient_pattern=(p\d+)_",
    )
    answer = cxr_run("data=folder", *line, "data.image_size=8", "epochs=1", "progress=none")
    assert (answer.code, answer.err) == (0, "")
    (path,) = outputs.glob("runs/*/seed=0/config.yaml")
    config = read_yaml(path)
    assert config["data"]["citation"] == text
    assert (config["data"]["root"], config["outputs"]) == (str(xrays), str(outputs))
    assert (config["data"]["positive"], config["data"]["patient_pattern"]) == ("NO", r"(p\d+)_")


@settings(deadline=None)
@with_examples(ODD)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_configuration_is_written_so_that_it_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    write_yaml(path, {"title": text})
    assert read_yaml(path) == {"title": text}


@pytest.mark.long
def test_launchers_take_text_to_other_processes(elsewhere: Path) -> None:
    sweep = (
        "seed=0,1",
        "data.num_images=40",
        "data.image_size=16",
        "epochs=1",
        "progress=none",
        "plots=never",
        "hydra/launcher=joblib",
    )
    outputs, pattern = "胸片, ${x} '1'", r"^[^/]+/(?P<patient>p\d+),"
    command = [installed("cxr-run"), *sweep, "-m", f"outputs={outputs}", f"data.patient_pattern={pattern}"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    paths = sorted((elsewhere / outputs).glob("runs/*/seed=*/config.yaml"))
    assert [read_yaml(path)["data"]["patient_pattern"] for path in paths] == [pattern] * 2


# The other commands


def test_cxr_data_takes_text_verbatim(xrays: Path, elsewhere: Path) -> None:
    title = "胸片 ${x}, 'a' (2024)"
    command = [installed("cxr-data"), "describe", "data=folder", f"data.root={xrays}", "data.positive=NO"]
    answer = subprocess.run([*command, f"data.title={title}"], capture_output=True, text=True, timeout=60)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert title in answer.stdout.splitlines()
    assert "positive     NO" in answer.stdout


def test_cxr_study_takes_text_verbatim_and_flags_anywhere(elsewhere: Path) -> None:
    line = ("data.positive=肺炎, 1", "--seeds", "3", "data.duplicates=zebra", "--data", "mine, 1")
    answer = subprocess.run([installed("cxr-study"), *line], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 2
    assert answer.stderr == "cxr-study: data.duplicates=zebra: valid are 'drop', 'keep' or 'drop_conflicts'\n"


def test_options_behind_two_dashes_are_no_settings(cxr_run: Command) -> None:
    answer = cxr_run("epochs=1", "--", "-p")
    assert (answer.code, answer.err) == (2, "cxr-run: -p: cannot be read as KEY=VALUE\n")
