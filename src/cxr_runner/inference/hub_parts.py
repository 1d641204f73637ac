"""A model from a folder that was handed on, as :mod:`cxr_runner.inference.hub_folder` writes it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load_file

from cxr_runner.artifacts.hub_file import HELD_OUT, HUB_FORMAT, METADATA, TRAINING
from cxr_runner.base.checked_json import read_checked_json
from cxr_runner.base.checksums import checksum_of_file
from cxr_runner.base.errors import UserError
from cxr_runner.config.stored import read_model_config
from cxr_runner.data.extras import DicomOptions
from cxr_runner.inference.image_input import Preparation
from cxr_runner.inference.loaded_run import build_network
from cxr_runner.inference.model_parts import MemberNetwork, ModelParts
from cxr_runner.inference.scored_images import ScoredImages
from cxr_runner.inference.training_images import TrainingImages


def parts_of_hub(folder: Path, *, trust: bool = False) -> ModelParts:
    """Return the parts of a model that was handed on.

    Args:
        folder: the folder.
        trust: whether code that it names may be run.

    Raises:
        UserError: the folder is damaged, was changed, is of a version that this one cannot read, or names code that is
            not trusted or not to be found.
    """
    content, intact = read_checked_json(folder / METADATA)
    if not intact:
        raise _refused(folder, f"{METADATA} has changed since it was written")
    if content.get("hub_format") != HUB_FORMAT:
        raise _refused(folder, f"is of another version, {content.get('made_by')}")
    for name, recorded in content["checksums"].items():
        path = folder / name
        if not path.is_file() or checksum_of_file(path) != recorded:
            raise _refused(folder, f"{name} {'has changed since it was written' if path.is_file() else 'is missing'}")
    negative, positive = content["class_names"]
    return ModelParts(
        members=tuple(_read_member(folder, member, content["image_size"], trust) for member in content["members"]),
        class_names=(negative, positive),
        preparation=Preparation(content["image_size"], content["bits"], DicomOptions(**content["dicom"])),
        folder=folder,
        trained_on=content["trained_on"],
        held_out=_held_out(folder),
        training_images=lambda _: _read_training(folder),
    )


def _read_member(folder: Path, member: dict[str, Any], image_size: int, trust: bool) -> MemberNetwork:
    config = read_model_config(member)
    if config is None:
        raise _refused(folder, f"this version knows no model {member['model']}")
    network = build_network(config, image_size, trust, partial(_refused, folder))
    try:
        network.load_state_dict(load_file(folder / member["file"]))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise _refused(folder, f"{member['file']} cannot be read ({str(error).splitlines()[0]})") from None
    return MemberNetwork(member["key"], config, network.eval(), member["weights"], member["bf16"])


def _held_out(folder: Path) -> Callable[[str], ScoredImages]:
    def read(split: str) -> ScoredImages:
        whole = pd.read_csv(folder / HELD_OUT)
        table = whole[whole["split"] == split]
        known = bool((table["patient"] >= 0).all())
        units = table["patient"].to_numpy(np.int64) if known else np.arange(len(table))
        return ScoredImages(table["label"].to_numpy(np.int64), table["logit"].to_numpy(np.float64), units, known)

    return read


def _read_training(folder: Path) -> TrainingImages | str:
    if not (folder / TRAINING).is_file():
        return "they were not there when the folder was made"
    with np.load(folder / TRAINING, allow_pickle=False) as arrays:
        (low, high), (rim_low, rim_high) = arrays["grey"].tolist()
        some_deep, some_not = map(bool, arrays["deep"])
        return TrainingImages(
            checks=frozenset(f"{check:016x}" for check in arrays["checks"].tolist()),
            hashes=arrays["hashes"],
            picture=arrays["picture"] if arrays["picture"].size else None,
            grey=(low, high),
            rim=(rim_low, rim_high),
            deep=(some_deep, some_not),
        )


def _refused(folder: Path, why: str) -> UserError:
    return UserError.for_key("run", folder, why)
