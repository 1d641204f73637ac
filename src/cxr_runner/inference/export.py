"""Writes a model for other programs, with all that they need to use it, and checks what was written."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cxr_runner.artifacts.hub_file import METADATA
from cxr_runner.base.errors import UserError
from cxr_runner.inference.exported_module import INPUT, OUTPUTS, make_exported
from cxr_runner.models.custom import CustomModel

if TYPE_CHECKING:  # it is handed a model, it loads none
    from cxr_runner.inference.loaded_model import LoadedModel

INSTALL_ONNX = "pip install 'cxr-runner[onnx]'"
NUM_CHECKED = 64  # images
TOLERANCE = 1e-5  # of logits, relative to 1 + the largest


def describe_export(model: "LoadedModel") -> dict[str, Any]:
    """Return what whoever uses an exported model has to know, ready for JSON."""
    point, preparation = model.point, model.parts.preparation
    deep = f"; black to white takes {preparation.bits} bits in images with more than 8" if preparation.bits else ""
    return {
        "made_by": f"cxr_runner {version('cxr-runner')}",
        "not_for_clinical_use": True,
        "input": {
            "name": INPUT,
            "shape": ["batch", 1, model.image_size, model.image_size],
            "dtype": "float32",
            "range": [0, 1],
            "preprocessing": "grey (0.2989 R + 0.587 G + 0.114 B, rounded to 8 bits), stretched to the square whatever "
            f"its aspect ratio (bilinear, antialiased on reduction), divided by 255{deep}",
        },
        "outputs": list(OUTPUTS),
        "class_names": list(model.class_names),
        "decision": {
            "positive_above_logit": point.threshold,
            "positive_above_probability": point.probability,
            "threshold": point.rule,
            "calibration": point.calibration,
            "fitted_on": point.fitted_on,
        },
        "networks": [member.key for member in model.members],
        "weights_xxh3": [member.weights for member in model.members],
        "trained_on": dict(model.parts.trained_on),
    }


def check_onnx() -> None:
    """Refuse an export to ONNX where its extra is not installed.

    Raises:
        UserError: it is not.
    """
    if missing := [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]:
        raise UserError.for_key("--format", "onnx", f"needs {', '.join(missing)}: {INSTALL_ONNX}")


def write_pt2(model: "LoadedModel", path: Path) -> float:
    """Write a program of ``torch.export``; return the largest difference of its logits on 64 images.

    ``torch.export.load(path).module()`` runs it without this package; its extra file ``cxr_runner.json`` says the rest.
    """
    program = _traced(model)
    extra = {METADATA: json.dumps(describe_export(model), indent=2)}
    torch.export.save(program, path, extra_files=extra)
    run = torch.export.load(path).module()

    def answer(images: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.asarray(run(torch.from_numpy(images))[0])

    return _difference(model, answer)


def write_onnx(model: "LoadedModel", path: Path) -> float:
    """Write an ONNX model in one file; return the largest difference of its logits, by onnxruntime on 64 images.

    Raises:
        UserError: the extra for ONNX is not installed.
    """
    check_onnx()
    import onnx
    import onnxruntime

    with _quiet():
        program = torch.onnx.export(
            _traced(model), input_names=[INPUT], output_names=list(OUTPUTS), dynamo=True, verbose=False
        )
    assert program is not None
    proto = program.model_proto
    onnx.helper.set_model_props(proto, _as_texts(describe_export(model)))
    onnx.save(proto, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def answer(images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(session.run(["logit"], {INPUT: images})[0])

    return _difference(model, answer)


def _traced(model: "LoadedModel") -> torch.export.ExportedProgram:
    """Return a program of a model for any number of images.

    Raises:
        UserError: its code, a user's own, does more than can be followed.
    """
    example = torch.zeros(2, 1, model.image_size, model.image_size)
    shapes = {INPUT: {0: torch.export.Dim("batch", min=1)}}
    exported = make_exported(model)
    try:
        with torch.no_grad(), _quiet():
            return torch.export.export(exported, (example,), dynamic_shapes=shapes)
    except Exception as error:  # torch raises many classes
        if not any(isinstance(member.network, CustomModel) for member in model.members):
            raise
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        hint = "len(images) in it, for one, fixes their number, where images.shape[0] does not"
        raise UserError(f"export: torch.export cannot follow the code of the model ({why}); {hint}") from None


def _difference(model: "LoadedModel", answer: Any) -> float:
    """Compare exported logits with the model's, of one image and of many at once.

    Raises:
        UserError: they differ beyond rounding.
    """
    squares = draw_images(model.image_size)
    own = model.member_logits(squares).mean(axis=1)
    images = squares[:, None].astype(np.float32) / np.float32(255)
    exported = np.concatenate([answer(images[:1]), answer(images[1:])])
    difference = float(np.abs(exported - own).max())
    rounded = any(member.bf16 for member in model.members)  # what bf16 rounds away is not repeated
    if not rounded and not difference <= TOLERANCE * (1 + float(np.abs(own).max())):
        raise UserError(f"export: the exported model differs from the own one by {difference:.2g} on {len(own)} images")
    return difference


def draw_images(side: int, number: int = NUM_CHECKED) -> NDArray[np.uint8]:
    """Draw smooth random images, the same every time, uint8 [images, side, side]."""
    coarse = np.random.default_rng(0).integers(256, size=(number, 8, 8), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((side, side))) for one in coarse])


def _as_texts(described: Mapping[str, Any]) -> dict[str, str]:
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in described.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep off the terminal what torch says of its own workings."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
