"""What ``cxr-model evaluate`` does: a model meets labelled images of another place."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr_runner.artifacts.evaluation_file import (
    EVALUATION,
    METRIC_WORDS,
    SIDES,
    evaluation_folder,
    model_words,
    show_sides,
)
from cxr_runner.base.checked_json import write_checked_json
from cxr_runner.base.errors import UserError
from cxr_runner.base.files import replacing_folder, write_csv
from cxr_runner.base.numbers import plural
from cxr_runner.base.progress import make_reporter
from cxr_runner.base.slug import slug

if TYPE_CHECKING:  # all of these are imported when there is something to evaluate
    from cxr_runner.commands.model import ModelOrder
    from cxr_runner.inference.external import ExternalEvaluation

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


def perform_evaluate(order: "ModelOrder", given: Sequence[str], name: str | None) -> None:
    """Evaluate a model; write ``evaluations/NAME/`` beside it, and print the result.

    Args:
        order: the runs and the data.
        given: ``FOREIGN=OWN``, names of classes.
        name: name of the evaluation; the title of the data by default.

    Raises:
        UserError: a mistake in the order; runs, data or their classes do not fit; or the folder cannot be written to.
    """
    if order.images or not order.overrides:
        raise UserError("evaluate: needs labelled images, data=... as of cxr-run, e.g. data=folder data.root=DIR")
    if name is not None and not _NAME.fullmatch(name):
        raise UserError.for_key("--name", name, "valid are letters, digits and . _ + -, at most 100")
    from cxr_runner.commands.model_data import compose_data, make_model_folder
    from cxr_runner.data.dataset import open_images
    from cxr_runner.inference.external import evaluate_external
    from cxr_runner.inference.loaded_model import load_model

    reporter = make_reporter("auto")
    model = load_model(order.runs, order.device, trust=order.trust)
    images = open_images(compose_data(order, model), reporter)
    chosen = name or slug(images.about.title)
    training = model.parts.training_images(reporter)
    evaluation = evaluate_external(model, images, given, training, chosen)
    make_model_folder(model)
    folder = evaluation_folder(model.parts.folder, chosen)
    _write(evaluation, folder)
    why = [f"({training})"] if isinstance(training, str) else []
    for line in [*describe_evaluation(evaluation.content), *why, f"evaluation: {folder}; cxr-report shows it"]:
        reporter.line(line)


def _write(evaluation: "ExternalEvaluation", folder: Path) -> None:
    from cxr_runner.plots.external_plot import plot_external
    from cxr_runner.plots.style import save_figure

    content = evaluation.content
    title = f"{model_words(content)} on {content['data']['title']}"
    try:
        with replacing_folder(folder) as temporary:
            write_checked_json(temporary / EVALUATION, content)
            write_csv(temporary / "predictions.csv", evaluation.predictions)
            save_figure(plot_external(content["curves"], title), temporary / "evaluation.png")
    except OSError as error:
        raise UserError.for_key("run", folder, f"cannot write there ({error.strerror})") from None


def describe_evaluation(content: Mapping[str, Any]) -> list[str]:
    """Return what an evaluation says, in lines.

    Args:
        content: content of an ``evaluation.json``.
    """
    data, excluded = content["data"], sum(content["excluded"].values())
    classes = ", ".join(f"{foreign} counts as {own}" for foreign, own in data["classes"].items())
    runs = plural(len(content["model"]["runs"]), "run")
    lines = [
        f"outside: {data['title']}, {_counted(content['outside'])}; {classes}",
        f"inside: the test images of {runs} on {content['model']['trained_on']}, {_counted(content['inside'])}, each "
        "judged by runs that have not seen it",
        *content["familiarity"],
    ]
    lines += [f"{plural(excluded, 'image')} of the training set {'does' if excluded == 1 else 'do'} not count"] * (
        excluded > 0
    )
    rule = None
    lines.append(_line("", SIDES))
    for row in content["metrics"]:
        if row["rule"] and row["rule"] != rule:
            lines.append(f"threshold {row['rule']}: a logit above {content['thresholds'][row['rule']]:.4g} is positive")
        rule = row["rule"]
        lines.append(_line(METRIC_WORDS[row["metric"]], show_sides(row)))
    return [*lines, *content["verdict"]]


def _counted(side: Mapping[str, Any]) -> str:
    of = f" of {side['patients']:,} patients" if side["patients"] is not None else ", patients not known"
    return f"{side['images']:,} images{of}, {side['positive']:,} positive"


def _line(words: str, cells: Sequence[str]) -> str:
    return f"  {words:<37} " + "  ".join(f"{cell:<24}" for cell in cells).rstrip()
