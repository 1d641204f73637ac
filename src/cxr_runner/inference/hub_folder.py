"""A folder with a model to hand on: weights, how it did on its own val and test, what its training images look like.

It names no image and no patient: of the images held out it has labels, logits and numbers for patients, of those of the
training checksums and perceptual hashes, by which an image that was among them is known again.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.torch import save

from cxr_runner.artifacts.altered import checksums_of
from cxr_runner.artifacts.hub_file import HELD_OUT, HUB_FORMAT, METADATA, TRAINING
from cxr_runner.artifacts.operating_file import DEFAULT_POINT, write_point
from cxr_runner.base.checked_json import write_checked_json
from cxr_runner.base.files import write_csv, write_text
from cxr_runner.inference.export import describe_export
from cxr_runner.inference.loaded_model import LoadedModel
from cxr_runner.inference.model_parts import MemberNetwork
from cxr_runner.inference.scored_images import ScoredImages
from cxr_runner.inference.training_images import TrainingImages

_SPLITS = ("val", "test")


def write_hub(model: LoadedModel, folder: Path, training: TrainingImages | str, card: str) -> None:
    """Write the folder.

    Args:
        model: the model.
        folder: an empty folder.
        training: its training images, or why they are not known.
        card: content of ``README.md``.
    """
    members = [_write_member(member, folder, number) for number, member in enumerate(model.members)]
    write_csv(folder / HELD_OUT, pd.concat([_listed(model.parts.held_out(split), split) for split in _SPLITS]))
    if not isinstance(training, str):
        with (folder / TRAINING).open("wb") as file:
            np.savez_compressed(file, **_arrays(training))
    content = {
        "hub_format": HUB_FORMAT,
        **describe_export(model),
        "image_size": model.image_size,
        "bits": model.parts.preparation.bits,
        "dicom": asdict(model.parts.preparation.dicom),
        "members": members,
        "checksums": checksums_of(sorted(folder.iterdir())),
    }
    write_checked_json(folder / METADATA, content)
    if model.point != DEFAULT_POINT:
        write_point(folder, model.point, model.weights, {})
    write_text(folder / "README.md", card)


def _write_member(member: MemberNetwork, folder: Path, number: int) -> dict[str, Any]:
    name = f"network_{number}.safetensors"
    config = {key: None if key == "weights" else value for key, value in asdict(member.config).items()}
    weights = {key: value.detach().cpu().contiguous() for key, value in member.network.state_dict().items()}
    (folder / name).write_bytes(save(weights))
    return {"file": name, "key": member.key, "weights": member.weights, "bf16": member.bf16, "model": config}


def _listed(images: ScoredImages, split: str) -> pd.DataFrame:
    patients = images.units if images.patients else np.full(len(images), -1)
    return pd.DataFrame({"split": split, "label": images.labels, "logit": images.logits, "patient": patients})


def _arrays(training: TrainingImages) -> dict[str, Any]:
    return {
        "checks": np.array(sorted(int(check, 16) for check in training.checks), np.uint64),
        "hashes": training.hashes,
        "picture": np.zeros(0) if training.picture is None else training.picture,
        "grey": np.array([training.grey, training.rim]),
        "deep": np.array(training.deep),
    }
