"""One finished run, read from its directory and checked: its network, and what its files say of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load_file

from cxr_runner.artifacts.rundir import CHANGED, Run, RunDir, read_run
from cxr_runner.base.errors import UserError
from cxr_runner.config.schema import (
    AnyModelConfig,
    CustomConfig,
    LinearConfig,
    LinearReLUConfig,
    LogisticConfig,
    ResNet18Config,
    TorchvisionConfig,
)
from cxr_runner.config.stored import read_model_config
from cxr_runner.data.extras import DicomOptions
from cxr_runner.inference.compact import weights_of_coefficients
from cxr_runner.models.build import build_model
from cxr_runner.models.classifier import Classifier


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """A finished run.

    Attributes:
        run: what its files say.
        model: configuration of its network.
        network: the network with its weights, in evaluation mode.
        image_size: side of the images, in pixels.
        class_names: names of the negative and the positive class.
        bits: bits that black to white took in training images with more than 8; None where there were none.
        dicom: what was made of DICOM files.
        bf16: whether it computed in bf16.
    """

    run: Run
    model: AnyModelConfig
    network: Classifier
    image_size: int
    class_names: tuple[str, str]
    bits: int | None
    dicom: DicomOptions
    bf16: bool

    @property
    def key(self) -> str:
        """Name, id and seed: what tells it from all other runs."""
        return f"{self.run.path.parent.name}/{self.run.path.name}"

    @property
    def source(self) -> str:
        """Fingerprint of the images that it was trained on, whatever their splits; '' of a run that has none."""
        return str(self.run.data.get("fingerprints", {}).get("source", ""))

    @property
    def weights(self) -> str:
        """Checksum of its weights; '' of a run from before there were any."""
        return self.run.weights

    def predictions(self) -> pd.DataFrame:
        """Read its answers to the images of val and test.

        Raises:
            UserError: they cannot be read.
        """
        try:
            table = self.run.predictions()
        except (OSError, ValueError) as error:
            raise _refused(self.run.path, f"predictions.csv cannot be read ({error})") from None
        if not {"split", "name", "patient", "label", "logit"} <= set(table):
            raise _refused(self.run.path, "predictions.csv lacks columns; it is of another version")
        return table


def find_seeds(path: Path | str) -> list[Path]:
    """Return the run directories that a path stands for: itself, or those of all seeds of a configuration.

    Raises:
        UserError: it is neither.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise _refused(path, "there is no such folder")
    folder = folder.resolve()
    if (folder / "status.json").exists() or folder.name.startswith("seed="):
        return [folder]
    seeds = sorted((one for one in folder.glob("seed=*") if one.is_dir()), key=_order)
    if not seeds:
        valid = "holds no run; name the directory of a seed, OUTPUTS/runs/NAME-ID/seed=0, or the one around it"
        raise _refused(path, valid)
    return seeds


def read_loaded_run(path: Path, *, trust: bool = False) -> LoadedRun:
    """Load one run.

    Args:
        path: run directory.
        trust: whether code that the run names may be run.

    Raises:
        UserError: it is not finished, was altered, is damaged, is of a version that this one cannot read, or names code
            that is not trusted or not to be found.
    """
    run, files = read_run(path), RunDir(path)
    if run.state != "done" or run.problem:
        raise _refused(path, f"is not finished: {run.problem}" if run.state != "altered" else run.problem)
    if name := files.altered():
        raise _refused(path, f"{CHANGED.format(name=name)}; train it anew with force=true")
    config = read_model_config(run.config)
    data = run.config.get("data", {})
    if config is None or not isinstance(data, dict) or not isinstance(size := data.get("image_size"), int):
        raise _refused(path, f"its config.yaml is of another version ({_versions(run)})")
    network = build_network(config, size, trust, partial(_refused, path))
    _load_weights(network, config, run, files)
    return LoadedRun(
        run=run,
        model=config,
        network=network.eval(),
        image_size=size,
        class_names=_class_names(run.data),
        bits=run.data.get("inventory", {}).get("bits"),
        dicom=DicomOptions(data.get("window", "file"), data.get("frame")),
        bf16=run.config.get("precision") == "bf16",
    )


def _load_weights(network: Classifier, config: AnyModelConfig, run: Run, files: RunDir) -> None:
    try:
        spanned = isinstance(config, LinearConfig | LinearReLUConfig | LogisticConfig)
        if spanned and not files.model.exists() and files.gram.exists():
            network.load_state_dict(weights_of_coefficients(run, config))
        else:
            network.load_state_dict(load_file(files.model))
    except UserError as error:
        raise _refused(run.path, f"was trained with save=compact; {error}") from None
    except FileNotFoundError:
        raise _refused(run.path, "model.safetensors is missing") from None
    except (OSError, ValueError, SafetensorError) as error:
        raise _refused(run.path, f"model.safetensors cannot be read ({error})") from None
    except RuntimeError:
        why = f"model.safetensors does not fit the model of config.yaml; it is of another version ({_versions(run)})"
        raise _refused(run.path, why) from None


def build_network(config: AnyModelConfig, size: int, trust: bool, refuse: Callable[[str], UserError]) -> Classifier:
    """Build the network of a configuration, whose weights are still to come.

    No file of initial weights is read: it may be gone, and they will be replaced.

    Args:
        config: configuration of the network.
        size: side of the images, in pixels.
        trust: whether code that the configuration names may be run.
        refuse: makes an error of what is wrong.

    Raises:
        UserError: it names code that is not trusted, or not to be found.
    """
    if isinstance(config, CustomConfig) and not trust:
        said = f"its model is the class {config.target}, and loading it runs the code of that module"
        raise refuse(f"{said}: trust=True, or --trust, says that it may")
    if isinstance(config, ResNet18Config | TorchvisionConfig | CustomConfig):
        config = replace(config, weights=None)
    try:
        return build_model(config, size, seed=0)
    except UserError as error:
        raise refuse(str(error)) from None


def _class_names(data: dict[str, Any]) -> tuple[str, str]:
    """Return the names of the classes as ``data.json`` holds them, the negative one first."""
    counts = data.get("counts")
    names = tuple(map(str, counts.get("train", {}))) if isinstance(counts, dict) else ()
    return (names[0], names[1]) if len(names) == 2 else ("negative", str(data.get("positive_class", "positive")))


def _versions(run: Run) -> str:
    versions = run.metrics.get("versions")
    made_by = versions.get("cxr-runner", "unknown") if isinstance(versions, dict) else "unknown"
    return f"{made_by}, this is {version('cxr-runner')}"


def _order(path: Path) -> tuple[int, str]:
    """Sort seeds as numbers."""
    seed = path.name.removeprefix("seed=")
    return (int(seed) if seed.isdecimal() else -1, seed)


def _refused(path: Path | str, why: str) -> UserError:
    return UserError.for_key("run", path, why)
