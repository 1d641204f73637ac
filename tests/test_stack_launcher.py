"""The stack launcher in any Hydra application: Hydra's own tests of launchers, and what jobs find that run together."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobStatus
from hydra.experimental.callback import Callback
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite, IntegrationTestSuite, LauncherTestSuite
from hydra.test_utils.test_utils import SweepTaskFunction
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from conftest import Answer
from cxr_runner.config.loading import make_loader

# Hydra's own tests give no version_base; what it then warns of is no concern of a launcher.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
WAY = pytest.mark.parametrize(("launcher_name", "overrides"), [("stack", [])])
APPLICATION = pytest.mark.parametrize(("task_launcher_cfg", "extra_flags"), [({}, ["-m", "hydra/launcher=stack"])])


@pytest.fixture(autouse=True)
def fresh_hydra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process has one state of Hydra, that of whatever test came before; Hydra's own tests give no version base."""
    monkeypatch.setattr(version.VersionBase.instance(), "version_base", version._UNSPECIFIED_)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)


class TakesMany(SweepTaskFunction):
    """The task of Hydra's tests, which says that it takes many configurations; notes what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[tuple[Any, ...]]] = []

    def call_together(self, configs: Iterable[DictConfig]) -> list[Any]:
        self.calls.append([])
        return [self(config) for config in configs]

    def __call__(self, config: DictConfig) -> Any:
        hydra = HydraConfig.get()
        seen = (config.get("bar"), hydra.job.num, hydra.runtime.output_dir, os.getcwd(), os.environ.get("CXR_JOB"))
        if not self.calls:
            self.calls.append([])
        self.calls[-1].append(seen)
        return self.task_function(config) if self.task_function else 100


@WAY
@pytest.mark.long
class TestOneByOne(LauncherTestSuite):
    pass


@WAY
class TestTogether(LauncherTestSuite):
    @pytest.fixture
    def hydra_sweep_runner(self, hydra_sweep_runner: Callable[..., SweepTaskFunction]) -> Callable[..., TakesMany]:
        def make(**given: Any) -> TakesMany:
            sweep = TakesMany()
            vars(sweep).update(vars(hydra_sweep_runner(**given)))
            return sweep

        return make


@pytest.mark.long
@pytest.mark.parametrize(("launcher_name", "overrides"), [("stack", ["hydra.sweeper.max_batch_size=2"])])
class TestInBatches(BatchedSweeperTestSuite):
    pass


@APPLICATION
@pytest.mark.long
class TestApplications(IntegrationTestSuite):
    pass


@APPLICATION
class TestOneApplication(IntegrationTestSuite):
    """One of them, which takes a second."""

    test_custom_task_name = test_custom_sweeper_run_workdir = test_to_absolute_path_multirun = None


class Recorder(Callback):
    """Notes what Hydra tells a callback about jobs."""

    told: list[tuple[Any, ...]] = []  # noqa: RUF012

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        self.told.append(("start", config.hydra.job.num, HydraConfig.get().job.num, os.environ.get("CXR_JOB")))

    def on_job_end(self, config: DictConfig, job_return: Any, **_: Any) -> None:
        assert HydraConfig.get().job.num == config.hydra.job.num
        self.told.append(("end", config.hydra.job.num, job_return.status, job_return._return_value))


@pytest.fixture
def sweep(tmp_path: Path, hydra_restore_singletons: None, monkeypatch: pytest.MonkeyPatch) -> TakesMany:
    """A sweep over ``bar`` of Hydra's own example; what its jobs share is one directory, in which nobody works."""
    monkeypatch.chdir(tmp_path)
    Recorder.told.clear()
    task = TakesMany()
    task.calling_module, task.config_path, task.config_name = "hydra.test_utils.a_module", "configs", "compose"
    task.temp_dir = str(tmp_path / "sweep")
    callback = "+hydra.callbacks.recorder._target_=test_stack_launcher.Recorder"
    task.overrides = ["hydra/launcher=stack", "bar=7,8,9", "hydra.job.chdir=false", "hydra.sweep.subdir=.", callback]
    return task


def test_jobs_that_run_together_are_each_told_of_and_leave_what_they_would_leave_alone(
    sweep: TakesMany, tmp_path: Path
) -> None:
    sweep.task_function = lambda config: 10 * config.bar
    sweep.overrides += [
        "hydra.sweep.subdir=job_${hydra.job.num}",
        "hydra/job_logging=stdout",
        "+hydra.job.env_set.CXR_JOB=x",
    ]
    with sweep:
        (results,) = sweep.returns
        folders = [tmp_path / "sweep" / f"job_{number}" for number in range(3)]
        assert sweep.calls == [[(7 + n, n, str(folders[n]), str(tmp_path), "x") for n in range(3)]]
        assert Recorder.told == [
            *(("start", number, number, "x") for number in range(3)),
            *(("end", number, JobStatus.COMPLETED, 10 * (7 + number)) for number in range(3)),
        ]
        for number, (result, folder) in enumerate(zip(results, folders, strict=True)):
            assert (result.return_value, result.overrides) == (10 * (7 + number), [f"bar={7 + number}"])
            assert (result.working_dir, result.task_name) == (str(tmp_path), "a_module")
            assert result.cfg == {"foo": 10, "bar": 7 + number}
            assert result.hydra_cfg.hydra.runtime.output_dir == str(folder)
            assert OmegaConf.load(folder / ".hydra" / "config.yaml") == result.cfg
            assert OmegaConf.load(folder / ".hydra" / "overrides.yaml") == result.overrides
            assert OmegaConf.load(folder / ".hydra" / "hydra.yaml").hydra.job.num == number
    assert "CXR_JOB" not in os.environ
    assert not HydraConfig.initialized()


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        ("+hydra.job.env_set.CXR_JOB=${hydra:job.num}", "hydra.job.env_set"),
        ("hydra.job.chdir=true", "hydra.job.chdir"),
        ("hydra/job_logging=default", "hydra.job_logging"),
    ],
)
def test_jobs_that_need_a_process_each_run_one_by_one_and_a_line_says_why(
    asked: str, key: str, sweep: TakesMany, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sweep.overrides += ["hydra.sweep.subdir=${hydra.job.num}", "hydra/job_logging=none", asked]
    with sweep:
        said = f"a_module: {key} differ between jobs: 3 jobs run in 3 groups, each by itself\n"
        assert capfd.readouterr().err == said
        seen = [job for call in sweep.calls for job in call]
        assert [job[:2] for job in seen] == [(7, 0), (8, 1), (9, 2)]
        folders = [str(tmp_path / "sweep" / str(number)) for number in range(3)]
        assert [job[3] for job in seen] == (folders if "chdir" in key else [str(tmp_path)] * 3)
        assert [job[4] for job in seen] == (["0", "1", "2"] if "env_set" in key else [None] * 3)
        logs = sorted(str(path) for path in tmp_path.rglob("a_module.log"))
        assert logs == ([f"{folder}/a_module.log" for folder in folders] if "logging" in key else [])


def test_jobs_of_one_directory_and_one_log_run_together_in_it(
    sweep: TakesMany, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sweep.overrides += ["hydra.job.chdir=true"]
    with sweep:
        assert [job[3] for job in sweep.calls[0]] == [str(tmp_path / "sweep")] * 3
        assert [path.parent for path in tmp_path.rglob("a_module.log")] == [tmp_path / "sweep"]
    assert capfd.readouterr().err == ""
    assert Path.cwd() == tmp_path


def test_an_error_of_the_task_is_that_of_every_job_which_callbacks_are_told(sweep: TakesMany) -> None:
    error = ValueError("the task failed")

    def fail(_: DictConfig) -> None:
        raise error

    sweep.task_function = fail
    sweep.overrides.append("hydra/job_logging=none")
    with pytest.raises(ValueError, match="the task failed"), sweep:
        pass
    assert Recorder.told[3:] == [("end", number, JobStatus.FAILED, error) for number in range(3)]


def test_a_job_of_which_only_the_seed_differs_is_composed_as_any_other(elsewhere: Path) -> None:
    overrides = ["seed=3", "model=cnn", "name='text:a,b'", "hydra.job.config.override_dirname.exclude_keys=[seed]"]
    loader = make_loader()
    asked = [*overrides[:3], "optimizer.lr=0.1,0.2", overrides[3]]
    sweep = loader.load_configuration("config", asked, RunMode.MULTIRUN)
    for seed in ("seed=3", "seed=4"):
        job = [seed, *overrides[1:3], "optimizer.lr=0.2"]
        known = loader.load_sweep_config(sweep, job)
        anew = ConfigLoaderImpl.load_sweep_config(make_loader(), sweep, job)
        assert OmegaConf.to_yaml(known) == OmegaConf.to_yaml(anew)
        assert known.seed == int(seed[-1])


def test_a_variable_to_be_copied_that_does_not_exist_is_named(cxr_run: Callable[..., Answer]) -> None:
    answer = cxr_run("-m", "seed=0,1", "hydra.job.env_copy=[NO_SUCH_NAME]")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "cxr-run: hydra.job.env_copy=[NO_SUCH_NAME]: no environment variable NO_SUCH_NAME\n"


def test_what_a_job_refers_to_is_its_own(cxr_run, elsewhere) -> None:
    asked = ("-m", "data.num_images=40", "data.image_size=16", "epochs=1", "plots=never", "progress=none")
    answer = cxr_run(*asked, "seed=${hydra:job.num}", "optimizer.lr=0.01,0.02")
    assert answer.code == 0, answer.err
    assert sorted(path.name for path in elsewhere.glob("outputs/runs/*/seed=*")) == ["seed=0", "seed=1"]
