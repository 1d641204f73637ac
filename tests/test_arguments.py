"""Any value of any key on the command line of ``cxr-run``: it runs, or one line says why not."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Answer
from cxr_runner.config.data_schema import FolderConfig, PhantomConfig
from cxr_runner.config.schema import ResNet18Config, RunConfig
from cxr_runner.config.validation import KEYS
from cxr_runner.experiment import sweep

Command = Callable[..., Answer]
TINY = ("data.num_images=40", "data.image_size=8", "epochs=1", "progress=none", "plots=never")

GROUPS = ("data", "model", "optimizer", "loss", "schedule", "early_stopping", "augment", "data.split")
CHOSEN = ("experiment", "optimizer/lr", "optimizer/lr@optimizer", "hydra/launcher", "hydra/job_logging", "data/phantom")
FOREIGN = ("", ".", "x", "model.x", "model.hidden.x", "data.split.x.y", "seed.0", "model[0]", "é", "hydra", "defaults")
FOREIGN += ("hydra.verbose", "hydra.job.name", "hydra.x", "model@other", "a b", "-", "$", "1", "epochs ", "Epochs")
NUMBERS = ("0", "1", "2", "-1", "3.5", "1e3", "1e-3", "1e400", "nan", "inf", "-inf", "0x10", "1_000", "010", "+1")
NUMBERS += (str(2**31), str(2**32), str(2**63), str(2**64), str(-(2**64)), "9" * 400, "9" * 5000, "1." + "1" * 400)
WORDS = (
    "true",
    "false",
    "null",
    "None",
    "True",
    "yes",
    "''",
    '""',
    "' '",
    "???",
    "x",
    "auto",
    "linear",
    "é",
    "病院",
    "\u202e",
)
WORDS += (
    "",
    " ",
    "\t",
    "a\nb",
    "'a\nb'",
    "\\",
    "'",
    '"',
    "\x1b[31m",
    "a'b",
    "a b",
    "a=b",
    "a:b",
    "#",
    "%",
    "~nobody-there",
)
WORDS += (
    "\udcff",
    "'\udcff'",
    "'\x1b[31m'",
    "\x00",
    "@",
    "/dev/null",
    "/dev/zero",
    "../x",
    "x" * 300,
    "é" * 200,
    "x/" * 3000,
    "<b>",
    "*",
    "!!int 3",
)
NESTED = ("[]", "[1]", "[1,2]", "[[[1]]]", "[null]", "[nan]", "{}", "{a:1}", "{a:{b:[1,{c:2}]}}", "{name:linear}")
NESTED += (
    "{name:3}",
    "{name:null}",
    "{name:[1]}",
    "{1:2}",
    "{null:1}",
    "[",
    "{",
    "]",
    "{a:",
    "[" * 200,
    "[" * 200 + "]" * 200,
)
NESTED += ("{name:linear,layers:2,hidden:1,x:1}", "{a:${a}}", '{"":1}', "{a:1,a:2}")
NESTED += ("{name:phantom}", "{strategy:random}", "{pos_weight:[1]}", "{name:sgd,lr:[1]}")
RESOLVED = (
    "${epochs}",
    "${nothing}",
    "${",
    "${}",
    "${oc.env:NOTHING}",
    "${oc.env:HOME,x}",
    "${model}",
    "${seed}",
    "${x.y}",
)
RESOLVED += (
    "${now:%Y}",
    "${hydra:job.name}",
    "${oc.decode:'['}",
    "${oc.create:{a:1}}",
    "${.name}",
    "${..x}",
    "$x",
    "${unknown:1}",
)
SWEEPS = (
    "1,2",
    "a,b",
    "range(0,3)",
    "range(3)",
    "choice(1,2)",
    "glob(*)",
    "glob(x*)",
    "interval(0,1)",
    "shuffle(1,2)",
    "sort(2,1)",
)
SWEEPS += (
    "range(0)",
    "choice()",
    "tag(a,choice(1,2))",
    "str(1)",
    "int(x)",
    "float(1)",
    "bool(2)",
    "json_str(1)",
    "f(x)",
    ",",
    "1,",
)
CHOICES = (
    "linear",
    "cnn",
    "adam",
    "folder",
    "phantom",
    "chest_xray",
    "joblib",
    "basic",
    "table1_00",
    "[linear,cnn]",
    "3",
    "x/y",
)
OPTIONS = (
    "-m",
    "--multirun",
    "--cfg=job",
    "--cfg",
    "--info",
    "--x",
    "--epochs",
    "-x",
    "--package=_global_",
    "--resolve",
    "-",
    "--",
)
OPTIONS += (
    "--config-name=x",
    "--config-name=",
    "--experimental-rerun=x",
    "--run",
    "-p",
    "--epochs=3",
    "epochs",
    "model",
    "=",
    "~",
)

KEYS_DRAWN = st.sampled_from((*sorted(KEYS), *GROUPS, *CHOSEN, *FOREIGN)) | st.text(max_size=4)
VALUES = st.one_of(
    *map(st.sampled_from, (NUMBERS, WORDS, NESTED, RESOLVED, SWEEPS, CHOICES)),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=12).filter(lambda text: not text.startswith(("/", "~"))),
)
PAIRS = st.builds("{}{}={}".format, st.sampled_from(("", "", "", "", "", "", "+", "++", "~")), KEYS_DRAWN, VALUES)
ARGUMENTS = st.lists(
    PAIRS | PAIRS | PAIRS | st.builds("~{}".format, KEYS_DRAWN) | st.sampled_from(OPTIONS), min_size=1, max_size=3
)


def _is_tiny(run: RunConfig) -> bool:
    """Return whether a run is over at once and stays here; whether others can be trained is tested elsewhere."""
    if isinstance(run.data, FolderConfig):
        return run.epochs <= 2
    data, model = run.data, run.model
    small = isinstance(data, PhantomConfig) and data.num_images <= 60 and data.image_size <= 16
    size = getattr(model, "hidden", 1) * getattr(model, "layers", 1)
    return small and size <= 1000 and not isinstance(model, ResNet18Config) and run.epochs <= 2


@pytest.fixture
def trains_tiny_runs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sweep.run_sweep

    def bounded(configs: Sequence[RunConfig], on_failure: Any) -> list[sweep.Outcome]:
        tiny = [config for config in configs if _is_tiny(config)][:3]
        trained = whole(tiny, on_failure) if tiny else []
        return [*trained, *[sweep.Outcome(None, 0.5)] * (len(configs) - len(trained))]

    monkeypatch.setattr(sweep, "run_sweep", bounded)


def _fuzz(max_examples: int) -> settings:
    checks = list(HealthCheck)
    return settings(max_examples=max_examples, deadline=None, derandomize=True, suppress_health_check=checks)


def _answer(cxr_run: Command, arguments: Sequence[str]) -> None:
    answer = cxr_run(*TINY, *arguments)
    assert answer.code in (0, 1, 2), answer
    swept = any(argument.startswith(("-", "--")) for argument in arguments)
    lines = answer.err.splitlines()
    assert bool(lines) == (answer.code != 0), answer
    assert len(lines) <= 1 or swept, answer
    assert all(line.startswith(("cxr-run: ", "  ")) for line in lines), answer
    for word in ("Traceback", "mistake in cxr_runner", "unexpected", "HYDRA_FULL_ERROR", "\x1b"):
        assert word not in answer.err, answer


@_fuzz(15)
@given(arguments=ARGUMENTS)
def test_any_argument_is_understood_or_refused_in_one_line(
    cxr_run: Command, trains_tiny_runs_only: None, arguments: list[str]
) -> None:
    _answer(cxr_run, arguments)


@pytest.mark.long
@_fuzz(300)
@given(arguments=ARGUMENTS)
def test_any_of_many_arguments_is_understood_or_refused_in_one_line(
    cxr_run: Command, trains_tiny_runs_only: None, arguments: list[str]
) -> None:
    _answer(cxr_run, arguments)
