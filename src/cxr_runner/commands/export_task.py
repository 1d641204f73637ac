"""What ``cxr-model export`` does: a model for other programs, or a folder that is handed on."""

from pathlib import Path
from typing import TYPE_CHECKING

from cxr_runner.base.errors import UserError
from cxr_runner.base.files import replacing, replacing_folder
from cxr_runner.base.progress import Reporter, make_reporter

if TYPE_CHECKING:  # imported when there is something to export
    from cxr_runner.commands.model import ModelOrder
    from cxr_runner.inference.loaded_model import LoadedModel

_PLACES = {"pt2": "model.pt2", "onnx": "model.onnx", "hub": "model"}


def perform_export(order: "ModelOrder", kind: str | None, out: Path | None) -> None:
    """Write a model in one of three forms.

    Args:
        order: the runs.
        kind: ``pt2`` (torch.export), ``onnx``, or ``hub``, a folder with a card.
        out: file or folder to write.

    Raises:
        UserError: a mistake in the order, there is something at ``out``, it cannot be written, or what was written
            gives other answers.
    """
    if order.images or order.overrides:
        raise UserError("export: takes runs and no images")
    if kind not in _PLACES:
        raise UserError.for_key("--format", kind or "", f"valid are {', '.join(_PLACES)}")
    path = out or Path(_PLACES[kind])
    if path.exists():
        raise UserError.for_key("--out", path, "is there already; name another")
    if not path.absolute().parent.is_dir():
        raise UserError.for_key("--out", path, "there is no such folder around it")
    if kind == "onnx":
        from cxr_runner.inference.export import check_onnx

        check_onnx()
    from cxr_runner.inference.loaded_model import load_model

    reporter = make_reporter("auto")
    model = load_model(order.runs, "cpu", trust=order.trust)
    try:
        lines = _hub(model, path, reporter) if kind == "hub" else _program(model, path, kind)
    except OSError as error:
        raise UserError.for_key("--out", path, f"cannot write there ({error.strerror})") from None
    for line in lines:
        reporter.line(line)


def _program(model: "LoadedModel", path: Path, kind: str) -> list[str]:
    from cxr_runner.inference.export import NUM_CHECKED, write_onnx, write_pt2

    with replacing(path) as temporary:
        difference = (write_pt2 if kind == "pt2" else write_onnx)(model, temporary)
    checked = "onnxruntime" if kind == "onnx" else "torch.export"
    said = f"by {checked}, {NUM_CHECKED} images have logits that differ by at most {difference:.2g}"
    return [f"exported: {path}; {said}"]


def _hub(model: "LoadedModel", path: Path, reporter: Reporter) -> list[str]:
    from cxr_runner.inference.card.model_card import model_card
    from cxr_runner.inference.familiarity import NOT_COMPARED
    from cxr_runner.inference.hub_folder import write_hub

    training = model.parts.training_images(reporter)
    with replacing_folder(path) as temporary:
        write_hub(model, temporary, training, model_card(model, handed_on=True)[0])
    missing = [f"{NOT_COMPARED.replace('was', 'will be')} ({training})"] if isinstance(training, str) else []
    return [*missing, f"exported: {path}; cxr_runner.load and cxr-model take it as they take a run"]
