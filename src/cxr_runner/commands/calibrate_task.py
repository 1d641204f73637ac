"""What ``cxr-model calibrate`` does: threshold and calibration of a model, chosen on val."""

from typing import TYPE_CHECKING, Any

from cxr_runner.artifacts.metrics import METRICS
from cxr_runner.artifacts.operating_file import DEFAULT_POINT, point_path, write_point
from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import make_reporter

if TYPE_CHECKING:  # imported when there is something to calibrate
    from cxr_runner.commands.model import ModelOrder

_WORDS = {metric.key: metric.words for metric in METRICS} | {"sensitivity": "sensitivity"}


def perform_calibrate(order: "ModelOrder", rule: str, calibration: str) -> None:
    """Choose threshold and calibration, write ``operating_point.json``, and print what they give beside 0.5.

    Args:
        order: the runs.
        rule: rule of the threshold.
        calibration: what probabilities are fitted by.

    Raises:
        UserError: a mistake in the order, the runs do not fit, or the file cannot be written.
    """
    if order.images or order.overrides:
        raise UserError("calibrate: takes runs and no images: it looks at those of val, as the runs left them")
    from cxr_runner.commands.model_data import make_model_folder
    from cxr_runner.inference.loaded_model import load_model
    from cxr_runner.inference.operating_choice import CALIBRATIONS, choose_point, compare_points

    reporter = make_reporter("auto")
    known = {name: name for name in CALIBRATIONS}
    if calibration not in known:
        raise UserError.for_key("--calibration", calibration, f"valid are {', '.join(known)}")
    model = load_model(order.runs, "cpu", DEFAULT_POINT, trust=order.trust)
    point = choose_point(model.parts, rule, known[calibration])
    compared = compare_points(model.parts, point)
    make_model_folder(model)
    try:
        write_point(model.parts.folder, point, model.weights, {"compared": compared})
    except OSError as error:
        raise UserError.for_key("run", model.parts.folder, f"cannot write there ({error.strerror})") from None
    at = f"positive above a logit of {point.threshold:.4g}, a probability of {point.probability:.4g}"
    by = f"; fitted on {point.fitted_on}" if point.fitted_on else ""
    reporter.line(f"threshold {rule}, calibration {calibration}: {at}{by}")
    for line in _table(compared):
        reporter.line(line)
    reporter.line(f"operating point: {point_path(model.parts.folder)}")


def _table(compared: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    columns = [(split, name) for split in compared for name in compared[split]]
    headings = [f"{split}, {'0.5 as trained' if name == 'as_trained' else 'chosen'}" for split, name in columns]
    lines = [f"  {'':<12}" + "".join(f"  {heading:>20}" for heading in headings)]
    for key in next(iter(compared["val"].values())):
        cells = "".join(f"  {compared[split][name][key]:>20.3f}" for split, name in columns)
        lines.append(f"  {_WORDS[key]:<12}{cells}")
    return lines
