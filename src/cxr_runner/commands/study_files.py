"""What ``cxr-study new`` and ``cxr-study check`` do: write a study file from runs, and see what is in one."""

import re
from pathlib import Path

from cxr_runner.artifacts.rundir import find_runs
from cxr_runner.base.errors import UserError
from cxr_runner.base.files import write_text
from cxr_runner.base.numbers import plural
from cxr_runner.report.render.errata_section import errata_section
from cxr_runner.study import Study
from cxr_runner.study.draft import draft_study
from cxr_runner.study.errata import checkable_rows
from cxr_runner.study.row_values import load_valid_study
from cxr_runner.study.study_file import parse_study

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def write_new_study(given: str, outputs: Path) -> None:
    """Write ``NAME.yaml`` to the current folder, with a row for every configuration of the runs below a folder.

    Args:
        given: name of the study, with or without the ending.
        outputs: folder that holds runs.

    Raises:
        UserError: the name is not valid or taken, or there is no finished run.
    """
    name = given.removesuffix(".yaml")
    if not _NAME.fullmatch(name):
        raise UserError(f"{given}: a study's name is made of letters, digits, _ and -")
    path = Path(f"{name}.yaml")
    if path.exists():
        raise UserError(f"{path}: is there already, and is not written over; take another name")
    if not outputs.is_dir():
        raise UserError.for_key("--outputs", outputs, "there is no such folder")
    text = draft_study(name, find_runs(outputs))
    study = parse_study(text, path.name)
    write_text(path, text)
    print(f"{path}: {plural(len(study.rows), 'row')}, of the runs below {outputs}; state claims in it before you look")


def check_study_file(given: str) -> None:
    """Read a study file, and print what it holds and what its published numbers give away.

    Raises:
        UserError: there is none, or there is a mistake in it.
    """
    study = load_valid_study(given)
    print(f"{study.title}: {_contents(study)}")
    if not study.published_rows():
        return
    if not checkable_rows(study):
        needed = "accuracy, precision, recall and F1 of a row, and data.test: {positives: ..., negatives: ...}"
        print(f"nothing to recover: that needs {needed}")
        return
    errata = errata_section(study)
    print(*(f"- {sentence}" for sentence in errata.sentences), sep="\n")
    for table in errata.tables:
        print(f"\n{table.caption}\n\n{table.markdown()}", end="")


def _contents(study: Study) -> str:
    counts = [plural(len(study.rows), "row"), plural(len(study.claims), "claim"), plural(len(study.figures), "figure")]
    published = len(study.published_rows())
    return f"{', '.join(counts)}, published metrics of {plural(published, 'row') if published else 'no row'}"
