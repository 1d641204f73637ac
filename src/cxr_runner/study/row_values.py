"""Whether ``cxr-run`` would take the rows of a study file: what commands ask before they do anything."""

from cxr_runner.base.errors import UserError
from cxr_runner.config.usual_settings import read_defaults, usual_training
from cxr_runner.config.validation import from_values
from cxr_runner.config.yaml_lines import LinedYaml, parse_lined
from cxr_runner.study.published import Study
from cxr_runner.study.study_checks import row_paths
from cxr_runner.study.study_file import load_study, packaged_studies, parse_study, read_study_file
from cxr_runner.study.study_rows import flatten_config, nest_settings


def load_valid_study(study: str) -> Study:
    """Read a study whose rows can be trained; those of the package can.

    Args:
        study: name of one that comes with the package, or path of a file.

    Raises:
        UserError: there is none, or there is a mistake in it; the message says in which line.
    """
    if study in packaged_studies():
        return load_study(study)
    text = read_study_file(study)
    read = parse_study(text, study)
    check_values(read, parse_lined(text, study))
    return read


def check_values(study: Study, file: LinedYaml) -> None:
    """Refuse a row whose settings ``cxr-run`` would refuse.

    Raises:
        UserError: it would; the message says in which line.
    """
    for row, path in zip(study.rows, row_paths(file), strict=True):
        values = usual_training(row.family, row.optimizer) | {"data": read_defaults("data", "phantom")}
        try:
            from_values(nest_settings({**flatten_config(values), **row.shared, **row.own}))
        except UserError as error:
            raise file.error(path, f"row {row.id}: {error}", value=False) from None
