"""What ``cxr-model predict`` does: images in, a table of what a model says of them out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_runner.base.errors import UserError
from cxr_runner.base.files import write_csv
from cxr_runner.base.numbers import list_few, plural
from cxr_runner.base.progress import Reporter, make_reporter

if TYPE_CHECKING:  # all of these are imported when there is something to predict
    import pandas as pd

    from cxr_runner.commands.model import ModelOrder
    from cxr_runner.inference.image_input import Prepared
    from cxr_runner.inference.loaded_model import LoadedModel


def perform_predict(order: "ModelOrder", out: Path) -> None:
    """Predict images and write a table.

    Args:
        order: the runs and the images.
        out: the table to write.

    Raises:
        UserError: a mistake in the order, no image can be read, or the table cannot be written.
    """
    from cxr_runner.inference.familiarity import NOT_COMPARED, describe_familiarity
    from cxr_runner.inference.loaded_model import load_model
    from cxr_runner.inference.predicted_images import predict_images

    if bool(order.images) == bool(order.overrides):
        valid = "give either -- and files, folders or tables that name images, or data=... of a data set"
        raise UserError(f"predict: {valid}")
    reporter = make_reporter("auto")
    model = load_model(order.runs, order.device, trust=order.trust)
    chunks = _chunks(model, order, reporter)
    training = model.parts.training_images(reporter)
    table = predict_images(model, chunks, None if isinstance(training, str) else training)
    good, bad = table[table["error"] == ""], table[table["error"] != ""]
    if good.empty:
        raise UserError(f"predict: no image can be read: {_listed(bad)}")
    try:
        write_csv(out, table)
    except OSError as error:
        raise UserError.for_key("--out", out, f"cannot write there ({error.strerror})") from None
    lines = [f"{NOT_COMPARED} ({training})"] if isinstance(training, str) else describe_familiarity(good)
    for line in [*_said(model, good), *lines, *_unreadable(bad), f"predictions: {out}"]:
        reporter.line(line)


def _chunks(model: "LoadedModel", order: "ModelOrder", reporter: Reporter) -> "Iterator[Sequence[Prepared]]":
    """Return the images, some at a time; what is wrong with the order is said at once."""
    if order.images:
        from cxr_runner.inference.image_input import Prepared, find_images

        asked = find_images(order.images)
        missing = [Prepared(name, model.blank, error=error) for name, error in asked.missing]
        return (chunk for some in (model.read(asked, reporter), [missing]) for chunk in some if chunk)
    from cxr_runner.commands.model_data import compose_data
    from cxr_runner.inference.data_input import open_input

    return open_input(compose_data(order, model), reporter).chunks()


def _said(model: "LoadedModel", table: "pd.DataFrame") -> list[str]:
    counts = table["decision"].value_counts()
    found = ", ".join(f"{counts.get(name, 0):,} {name}" for name in reversed(model.class_names))
    of_runs = f"{plural(len(model.members), 'run')}, the mean of their logits" if len(model.members) > 1 else "1 run"
    return [f"{plural(len(table), 'image')}: {found} ({of_runs}; positive above a logit of {model.threshold:.4g})"]


def _unreadable(bad: "pd.DataFrame") -> list[str]:
    return [f"{plural(len(bad), 'image')} could not be read: {_listed(bad)}"] if len(bad) else []


def _listed(bad: "pd.DataFrame") -> str:
    pairs = zip(bad["name"], bad["error"], strict=True)
    return list_few([f"{name} ({error})" for name, error in pairs], "; ")
