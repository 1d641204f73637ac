import os
import re
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_module
from hydra.types import RunMode
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from conftest import Answer
from cxr_runner.base.errors import UserError
from cxr_runner.config.identity import run_id
from cxr_runner.config.loading import VerbatimLoader, make_loader
from cxr_runner.config.schema import RunConfig
from cxr_runner.config.used import is_used, may_set
from cxr_runner.config.validation import KEYS, from_hydra

CONF = Path(__file__).parents[1] / "conf"
DATA, MODELS, OPTIMIZERS = (
    sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in ("data", "model", "optimizer")
)

# A command line, how its one line of error must begin, and what it must say besides.
BAD_VALUES = [
    # unknown keys
    ("epoch=3", "epoch=3", "did you mean epochs?"),
    ("model.hiden=3", "model.hiden=3", "did you mean model.hidden?"),
    ("lr=0.1", "lr=0.1", "did you mean optimizer.lr?"),
    ("optimizer.learning_rate=0.1", "optimizer.learning_rate=0.1", "did you mean optimizer.lr?"),
    ("learning_rate=0.1", "learning_rate=0.1", "did you mean optimizer.lr?"),
    ("zebra=1", "zebra=1", "--help lists all keys"),
    ("+zebra=1", "zebra=1", "--help lists all keys"),
    ("+experiment=zebra", "experiment=zebra", ""),
    ("model.kernel_size=3", "model.kernel_size=3", "not a key of the chosen model"),
    ("optimizer=adam optimizer.momentum=0.9", "optimizer.momentum=0.9", "not a key of the chosen optimizer"),
    ("data.root=here", "data.root=here", "not a key of the chosen data"),
    # choices of a group
    ("model=cn", "model=cn", f"valid are {', '.join(MODELS)}"),
    ("data=mnist", "data=mnist", f"valid are {', '.join(DATA)}"),
    ("data=/some/path", "data=/some/path", "data=folder data.root=/some/path"),
    ("data=~/some/path", "data=~/some/path", "data=folder data.root=~/some/path"),
    ("data=/some/(胸片)", "data=/some/(胸片)", "data=folder data.root=/some/(胸片)"),
    ("data=./xrays", "data=./xrays", "data=folder data.root=./xrays"),
    ("data=some/hub-name", "data=some/hub-name", "data=hub data.repo=some/hub-name"),
    ("optimizer=rms", "optimizer=rms", f"valid are {', '.join(OPTIMIZERS)}"),
    ("model.name=zebra", "model.name=zebra", "linear"),
    # the form of the command line
    ("model=linear,cnn", "model=linear,cnn", "-m"),
    ("epochs=1,2", "epochs=1,2", "-m"),
    ("epochs==3", "epochs==3", "KEY=VALUE"),
    ("epochs", "epochs", "KEY=VALUE"),
    ("data.titel=胸", "data.titel=胸", "did you mean data.title?"),
    ("experiment=胸", "experiment=胸", "table1_00"),
    ("data=folder data.columns.患者=胸", "data.columns.患者=胸", "no such key"),
    ("data=folder data.root=x ~data.title=胸", "~data.title=胸", "is not its value"),
    ("model=胸", "model=胸", f"valid are {', '.join(MODELS)}"),
    ("model=/etc/passwd", "model=/etc/passwd", f"valid are {', '.join(MODELS)}"),
    ("model=../x", "model=../x", f"valid are {', '.join(MODELS)}"),
    # options that do not exist
    ("--foo", "--foo", "KEY=VALUE"),
    ("--lr 1e-4", "--lr", "write optimizer.lr=1e-4"),
    ("--epochs=3 model=cnn", "--epochs=3", "write epochs=3"),
    ("--model model=cnn", "--model", "write model=VALUE"),
    ("--cfg zebra", "argument --cfg/-c", "'zebra'"),
    # types
    ("epochs=many", "epochs=many", "whole number"),
    ("epochs=1.5", "epochs=1.5", "whole number"),
    ("epochs=null", "epochs=null", "whole number"),
    ("epochs=true", "epochs=true", "whole number"),
    ("epochs=", "epochs=", "whole number"),
    ("epochs=[1,2]", "epochs=[1, 2]", "whole number"),
    ("model.layers=1.5", "model.layers=1.5", "whole number"),
    ("optimizer.lr=fast", "optimizer.lr=fast", "number"),
    ("force=1", "force=1", "true or false"),
    ("outputs=null", "outputs=null", "text"),
    ("loss=3", "loss=3", "group of keys"),
    ("loss=balanced", "loss=balanced", "write loss.pos_weight=balanced"),
    ("schedule=cosine", "schedule=cosine", "write schedule.name=cosine"),
    ("early_stopping=3", "early_stopping=3", "early_stopping.patience"),
    # ranges
    ("epochs=0", "epochs=0", "at least 1"),
    ("batch_size=0", "batch_size=0", "at least 1"),
    ("seed=-1", "seed=-1", "at least 0"),
    ("seed=4294967296", "seed=4294967296", "below 4294967296"),
    ("model.hidden=0", "model.hidden=0", "at least 1"),
    ("model.layers=0", "model.layers=0", "at least 1"),
    ("optimizer.lr=-1", "optimizer.lr=-1", "above 0"),
    ("optimizer.lr=nan", "optimizer.lr=nan", "finite"),
    ("optimizer.lr=inf", "optimizer.lr=inf", "finite"),
    ("optimizer.momentum=1", "optimizer.momentum=1", "below 1"),
    ("optimizer.weight_decay=-0.1", "optimizer.weight_decay=-0.1", "at least 0"),
    ("loss.pos_weight=-1", "loss.pos_weight=-1", "balanced and numbers above 0"),
    ("loss.pos_weight=heavy", "loss.pos_weight=heavy", "balanced and numbers above 0"),
    ("loss.pos_weight=nan", "loss.pos_weight=nan", "balanced and numbers above 0"),
    ("data.num_images=5", "data.num_images=5", "at least 40"),
    ("data.image_size=4", "data.image_size=4", "at least 8"),
    ("data.difficulty=2", "data.difficulty=2", "at most 1"),
    ("data.difficulty=nan", "data.difficulty=nan", "finite"),
    ("data.phantom_seed=-1", "data.phantom_seed=-1", "at least 0"),
    ("augment.flip=2", "augment.flip=2", "at most 1"),
    # names
    ("device=gpu", "device=gpu", "valid are auto, cpu, cuda, cuda:N and mps"),
    ("device=cuda:99", "device=cuda:99", "CUDA devices"),
    ("device=cuda:99999999999999999999", "device=cuda:99999999999999999999", "CUDA devices"),
    ("engine=steam", "engine=steam", "pixel"),
    ("precision=fp16", "precision=fp16", "bf16"),
    ("schedule.name=linear", "schedule.name=linear", "cosine"),
    ("early_stopping.metric=luck", "early_stopping.metric=luck", "val_auroc"),
    ("data.split.strategy=fair", "data.split.strategy=fair", "patient"),
    ("name=a/b", "name=a/b", "letters, digits"),
    ("name=..", "name=..", "letters, digits"),
    ("name=", "name=", "letters, digits"),
    ("outputs=", "outputs=", "not be empty"),
    # values that are valid one by one
    ("model=cnn model.kernel_size=4", "model.kernel_size=4", "odd"),
    ("optimizer.nesterov=true", "optimizer.nesterov=true", "optimizer.momentum above 0"),
    ("model=resnet18 data.image_size=16", "data.image_size=16", "at least 64"),
    ("schedule.warmup_epochs=3 epochs=3", "schedule.warmup_epochs=3", "below epochs=3"),
    ("early_stopping.patience=3 epochs=3", "early_stopping.patience=3", "below epochs=3"),
    ("data.split.strategy=given", "data.split.strategy=given", "random, patient"),
    ("model=cnn engine=gram", "engine=gram", "model=cnn"),
    ("optimizer=adam engine=gram", "engine=gram", "optimizer=adam"),
    # values that are not there
    ("data=folder", "data.root=???", "needs a value"),
    ("data=folder data.root=", "data.root=", "not be empty"),
    ("data=hub", "data.repo=???", "needs a value"),
    ("data=hub data.repo=", "data.repo=", "not be empty"),
    ("data=hub data.repo=a/b/c", "data.repo=a/b/c", "OWNER/NAME"),
    ("data=hub data.repo=a/b data.revision=", "data.revision=", "not be empty"),
    ("data=hub data.repo=a/b data.files.train=", "data.files.train=", "not be empty"),
    ("data=hub data.repo=a/b data.files.trian=x", "data.files.trian=x", "did you mean data.files.train?"),
    ("data=hub data.repo=a/b data.files=x", "data.files=x", "group of keys"),
    ("data=hub data.repo=a/b data.path=nowhere", "data.path=", "no such folder"),
    ("data=folder data.root=nowhere", "data.root=", "no such folder"),
    ("~epochs", "epochs", "needs a value"),
    ("~model", "model", "needs a choice, valid are cnn, "),
    ("~optimizer", "optimizer", "needs a choice, valid are adam"),
    ("model.sgd_lr=1", "model.sgd_lr=1", "no such key"),
    ("optimizer.lr=${zebra}", "optimizer.lr", "zebra"),
]


@pytest.fixture
def untouched(tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing may be decoded, and nothing be written where the command was started."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("CXR_CACHE", str(cache))
    yield
    assert not cache.exists()
    assert list(elsewhere.iterdir()) == []


def assert_one_line(answer: Answer, beginning: str, valid: str) -> None:
    assert answer.code == 2
    assert answer.out == ""
    assert len(answer.err.splitlines()) == 1
    assert answer.err.startswith(f"cxr-run: {beginning}")
    assert valid in answer.err


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("line", "beginning", "valid"), BAD_VALUES, ids=[case[0] for case in BAD_VALUES])
def test_a_bad_value_is_answered_in_one_line_before_anything_is_touched(
    cxr_run: Callable[..., Answer], line: str, beginning: str, valid: str
) -> None:
    colon = "" if beginning.endswith("=") else ":"
    assert_one_line(cxr_run(*line.split()), beginning + colon, valid)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("below", ["", "/below"])
def test_outputs_that_are_a_file_are_refused(cxr_run: Callable[..., Answer], tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    outputs = f"{tmp_path}/file{below}"
    assert_one_line(cxr_run(f"outputs={outputs}"), f"outputs={outputs}:", "")


@pytest.mark.usefixtures("untouched")
def test_a_sweep_into_a_file_is_refused(cxr_run: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert_one_line(cxr_run("-m", "seed=0,1", f"outputs={tmp_path}/file"), f"outputs={tmp_path}/file", "")


@pytest.mark.usefixtures("untouched")
@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_outputs_without_permission_are_refused(cxr_run: Callable[..., Answer], tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert_one_line(cxr_run(f"outputs={locked}"), f"outputs={locked}:", "cannot be written")


def composed(*overrides: str) -> DictConfig:
    with initialize_config_module("cxr_runner.conf", version_base="1.3"):
        return compose("config", list(overrides))


def configure(*overrides: str) -> RunConfig:
    return from_hydra(composed(*overrides))


def required(*overrides: str) -> list[str]:
    """Return values for the keys that have no default."""
    return [f"{key}=something" for key in OmegaConf.missing_keys(composed(*overrides))]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=4,
)
ANY_KEY = st.sampled_from(
    "data model model.name model.hidden optimizer.lr loss.pos_weight epochs seed early_stopping.patience device "
    "outputs name data.split data.image_size".split()
)


@pytest.fixture(scope="module")
def default_config() -> DictConfig:
    return composed()


@settings(deadline=None)
@given(key=ANY_KEY, value=ANYTHING)
@example(key="name", value="two\nlines")
@example(key="name", value="two\u2028lines")
@example(key="outputs", value="a lone \udcff")
@example(key="epochs", value=10**30)
@example(key="device", value="${zebra}")
@example(key="model", value={"name": "zebra"})
def test_whatever_the_value_the_answer_is_a_run_or_one_line(
    default_config: DictConfig, key: str, value: object
) -> None:
    config = default_config.copy()
    try:
        OmegaConf.update(config, key, value, merge=False)
    except OmegaConfBaseException:
        reject()  # text that OmegaConf cannot take for a value reaches no run
    try:
        said = repr(from_hydra(config))
    except UserError as error:
        said = str(error)
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("overrides", "lr"),
    [
        (["model=linear"], 1e-4),
        (["model=linear_relu"], 1e-4),
        (["model=cnn"], 1e-2),
        (["model=resnet18"], 1e-2),
        *((["optimizer=adam", f"model={model}"], 1e-4) for model in MODELS if may_set("optimizer.name", model)),
        (["model=cnn", "optimizer.lr=0.5"], 0.5),
        (["experiment=table1_05"], 1e-4),
        (["experiment=table1_05", "model=cnn"], 1e-2),
        (["experiment=table1_05", "optimizer.lr=0.5"], 0.5),
        (["experiment=table1_22", "model=linear"], 1e-4),
    ],
)
def test_the_learning_rate_is_the_study_s_unless_given(overrides: list[str], lr: float) -> None:
    assert configure(*overrides, *required(*overrides)).optimizer.lr == lr


def test_every_job_of_a_sweep_has_the_learning_rate_of_its_model(
    cxr_run: Callable[..., Answer], elsewhere: Path
) -> None:
    tiny = ("data.num_images=40", "data.image_size=16", "epochs=1", "progress=none")
    assert cxr_run("-m", "model=linear,cnn", "optimizer=sgd,adamw", *tiny).code == 0
    configs = [yaml.safe_load(path.read_text("utf-8")) for path in elsewhere.rglob("config.yaml")]
    rates = {(config["model"]["name"], config["optimizer"]["name"]): config["optimizer"]["lr"] for config in configs}
    assert rates == {
        ("linear", "sgd"): 1e-4,
        ("linear", "adamw"): 1e-4,
        ("cnn", "sgd"): 1e-2,
        ("cnn", "adamw"): 1e-4,
    }


def test_the_defaults_are_the_study_s() -> None:
    run = configure()
    assert (run.model.name, run.optimizer.name, run.batch_size, run.epochs) == ("linear", "sgd", 32, 10)
    assert run.loss.pos_weight is None
    assert run.data.image_size == 640
    assert configure("data=chest_xray").data.split.strategy == "given"
    cnn = configure("model=cnn").model
    assert (cnn.hidden, cnn.kernel_size) == (10, 3)
    relu = configure("model=linear_relu").model
    assert (relu.layers, relu.hidden, relu.output_relu) == (2, 10, True)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("data", DATA)
def test_every_choice_of_every_group_is_valid(data: str, optimizer: str) -> None:
    run = configure(f"data={data}", f"optimizer={optimizer}", *required(f"data={data}"))
    name = "table" if data in ("nih", "rsna", "chexpert", "covid_chestxray") else data  # presets of that choice
    assert (run.data.name, run.optimizer.name) == (name, optimizer)


# What does not change the numbers by itself: the data enter an id by their fingerprint, the device by its kind, and
# the engine as the one that was chosen.
VOLATILE = {"seed", "seeds", "outputs", "name", "force", "save", "plots", "progress", "device", "engine", "kernels"}


def identify(run: RunConfig, data: str = "fingerprint", device: str = "cpu", engine: str = "pixel") -> str:
    return run_id(run, data, device, engine, "")


def leaves(config: Any, prefix: str = "") -> dict[str, Any]:
    values = {}
    for name, value in vars(config).items():
        key = prefix + name
        values |= leaves(value, f"{key}.") if is_dataclass(value) else {key: value}
    return values


def changed(config: Any, key: str, value: Any) -> Any:
    name, _, rest = key.partition(".")
    return replace(config, **{name: changed(getattr(config, name), rest, value) if rest else value})


def another(value: Any) -> Any:
    match value:
        case None:
            return 1
        case bool():
            return not value
        case str():
            return value + "x"
        case dict():
            return {**value, "x": 1}
        case _:
            return value + 1


@pytest.mark.parametrize("choice", [f"model={model}" for model in MODELS] + ["optimizer=adam", "data=chest_xray"])
def test_the_id_changes_with_every_key_that_can_change_the_numbers_and_no_other(choice: str) -> None:
    run = configure(choice, *required(choice))
    keys = leaves(run)
    others = {key: identify(changed(run, key, another(value))) for key, value in keys.items()}
    differing = {key for key, other in others.items() if other != identify(run)}
    used = {key for key in keys if is_used(key, {"model": {"name": run.model.name}})}
    assert differing == {key for key in used if key not in VOLATILE and not key.startswith("data.")}


def test_the_id_changes_with_the_images_the_kind_of_device_and_the_engine() -> None:
    run = configure()
    ids = {identify(run), identify(run, data="other"), identify(run, device="cuda"), identify(run, engine="gram")}
    assert len(ids) == 4
    assert all(re.fullmatch("[0-9a-f]{10}", one) for one in ids)


def test_the_id_stays_the_same_when_a_learning_rate_is_spelled_out() -> None:
    assert identify(configure("optimizer.lr=1e-4")) == identify(configure())


def test_every_key_of_the_schema_belongs_to_some_variant() -> None:
    variants = [configure(f"model={model}", *required(f"model={model}")) for model in MODELS]
    variants += [configure(f"optimizer={optimizer}") for optimizer in OPTIMIZERS]
    variants += [configure(f"data={data}", *required(f"data={data}")) for data in DATA]
    reached = {key for run in variants for key in leaves(run)}
    groups = {key.rpartition(".")[0] for key in reached if "." in key}
    assert reached | groups == KEYS


def test_a_job_of_a_sweep_is_composed_once_and_each_gets_its_own(
    cxr_run: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    composed, plain = [], VerbatimLoader.load_configuration

    def counted(self: VerbatimLoader, *arguments: Any, **more: Any) -> Any:
        composed.append(arguments)
        return plain(self, *arguments, **more)

    monkeypatch.setattr(VerbatimLoader, "load_configuration", counted)
    answer = cxr_run("-m", "model=linear,linear_relu", "optimizer.lr=0.1,0.2", "epochs=0")
    assert answer.code == 2
    assert "epochs=0" in answer.err
    assert len(composed) == 2 + 4  # that of the sweep, twice, and its jobs


def test_what_a_launcher_does_to_a_job_reaches_no_other() -> None:
    loader = make_loader()
    master = loader.load_configuration("config", [], RunMode.MULTIRUN)
    for _ in range(3):  # as the sweeper checks it, as the launcher asks for it, and anew
        job = loader.load_sweep_config(master, ["model=cnn"])
        assert job.epochs == 10
        with read_write(job):
            job.epochs = 7
