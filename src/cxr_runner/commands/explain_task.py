"""What ``cxr-model explain`` does: pictures and numbers of why a model says what it says."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cxr_runner.artifacts.explanation_file import EXPLANATION, EXPLANATIONS, describe_explanation
from cxr_runner.base.checked_json import write_checked_json
from cxr_runner.base.errors import UserError
from cxr_runner.base.files import replacing_folder, write_csv
from cxr_runner.base.progress import Reporter, make_reporter

if TYPE_CHECKING:  # all of these are imported when there is something to explain
    from cxr_runner.commands.model import ModelOrder
    from cxr_runner.inference.explain.asked_images import AskedImage
    from cxr_runner.inference.loaded_model import LoadedModel
    from cxr_runner.inference.run_data import RunData


def perform_explain(order: "ModelOrder", *, hidden: bool) -> None:
    """Explain a model; write ``explanations/`` beside it, and print the result.

    Args:
        order: the runs, and images or none.
        hidden: whether no image is named.

    Raises:
        UserError: a mistake in the order, there is nothing to explain, or the folder cannot be written to.
    """
    if order.overrides:
        raise UserError("explain: takes runs and, behind --, files, folders or tables that name images; no data=...")
    from cxr_runner.commands.model_data import make_model_folder
    from cxr_runner.inference.explain.explanation import explain
    from cxr_runner.inference.explain.explanation_content import contribution_table, explanation_content, image_table
    from cxr_runner.inference.explain.explanation_pictures import draw_explanation
    from cxr_runner.inference.explain.shortcuts_beside import audits_beside
    from cxr_runner.inference.loaded_model import load_model
    from cxr_runner.inference.run_data import open_run_data

    reporter = make_reporter("auto")
    with _errors("the runs cannot be loaded", hidden=hidden):  # for which some need their images
        model = load_model(order.runs, "cpu", trust=order.trust)
    runs = model.parts.runs
    data = open_run_data(runs, reporter) if runs else "a folder that was handed on comes without them"
    with _errors("its images cannot be read", hidden=hidden):
        asked = _asked(model, order, data, reporter)
    explained = explain(model, asked, data, reporter)
    if not asked and explained.weights is None:
        why = "" if hidden and runs else f" ({data})"  # which may name images
        raise UserError(f"explain: the images of the runs are not here{why}; name some behind --")
    audits = audits_beside([run.run.path for run in runs], model.parts.trained_on["fingerprints"])
    content = explanation_content(explained, model, audits, hidden=hidden)
    make_model_folder(model)
    folder = model.parts.folder / EXPLANATIONS
    try:
        with replacing_folder(folder) as temporary:
            write_checked_json(temporary / EXPLANATION, content)
            if content["images"]:
                write_csv(temporary / "images.csv", image_table(content))
                if not content["no_influences"]:
                    write_csv(temporary / "contributions.csv", contribution_table(explained, hidden=hidden))
            draw_explanation(explained, content, data, temporary)
    except OSError as error:
        raise UserError.for_key("run", model.parts.folder, f"cannot write there ({error.strerror})") from None
    for line in [*describe_explanation(content), f"explanations: {folder}; cxr-report shows them"]:
        reporter.line(line)


def _asked(
    model: "LoadedModel", order: "ModelOrder", data: "Sequence[RunData] | str", reporter: Reporter
) -> "list[AskedImage]":
    """Return the images that were named, else test images, else none."""
    from cxr_runner.inference.explain.asked_images import images_of_files, images_of_test

    if order.images:
        return images_of_files(model, order.images, reporter)
    return [] if isinstance(data, str) else images_of_test(model, data)


@contextmanager
def _errors(what: str, *, hidden: bool) -> Iterator[None]:
    """Say no more of an error than what it prevents where no image is to be named."""
    try:
        yield
    except UserError:
        if not hidden:
            raise
        said = f"explain: {what}; the reason, which may name images, is said without --hide-names"
        raise UserError(said) from None
