from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from cxr_runner.base.progress import Reporter, make_reporter
from cxr_runner.data.sources import About, data_heading
from cxr_runner.experiment.summary import print_results
from run_trees import run_metrics

RUN = Path("outputs/runs/linear-0123456789/seed=0")


class Recorder(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


WARD = About("Ward 7")


def printed(about: About = WARD, **changes: object) -> list[str]:
    recorder = Recorder()
    print_results(run_metrics(70, 5, 4, 21, **changes), about, ["it leaks"], RUN, recorder)
    return recorder.lines


def test_the_table_holds_six_figures_of_val_and_test_under_their_titles() -> None:
    head, val, test = printed()[:3]
    assert head.split() == ["accuracy", "batch", "mean", "precision", "recall", "F1", "AUROC"]
    assert val.split() == ["val", "0.8000", "0.8010", "0.8571", "0.8571", "0.8571", "0.8000"]
    assert test.split() == ["test", "0.9100", "0.9110", "0.9333", "0.9459", "0.9396", "0.9000"]
    assert len(head) == len(val) == len(test) <= 80


def test_the_confusion_counts_are_those_of_the_test_split() -> None:
    (line,) = (line for line in printed() if "confusion" in line)
    assert "70 true and 5 false positives" in line
    assert "21 true and 4 false negatives" in line
    assert "100 images" in line


def test_the_run_directory_comes_last() -> None:
    assert printed(About("Phantom", synthetic=True), collapsed=True)[-1] == f"run directory: {RUN}"


@pytest.mark.parametrize("collapsed", [True, False])
def test_a_collapsed_run_is_warned_about(collapsed: bool) -> None:
    assert any("warning: collapsed" in line for line in printed(collapsed=collapsed)) is collapsed


def test_what_is_wrong_with_the_data_is_said_where_the_accuracy_is_said() -> None:
    assert "warning: it leaks" in printed()


@pytest.mark.parametrize("synthetic", [True, False])
def test_synthetic_data_are_called_so(synthetic: bool) -> None:
    lines = printed(About("Phantom", synthetic=synthetic))
    assert any("synthetic phantom data" in line for line in lines) is synthetic


def test_every_line_is_one_line() -> None:
    assert all(line and "\n" not in line for line in printed(About("x", synthetic=True), collapsed=True))


def test_progress_none_stays_silent() -> None:
    with redirect_stdout(StringIO()) as out:
        print_results(run_metrics(), About("Phantom", synthetic=True), ["it leaks"], RUN, make_reporter("none"))
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("about", "heading"),
    [
        (WARD, "Ward 7"),
        (About("Ward 7", synthetic=True), "Ward 7 (synthetic phantom data)"),
        (About("synthetic phantom data", synthetic=True), "synthetic phantom data"),
    ],
)
def test_a_heading_says_once_that_data_are_synthetic(about: About, heading: str) -> None:
    assert data_heading(about) == heading


def test_a_metric_that_an_older_run_lacks_is_an_empty_cell() -> None:
    recorder, metrics = Recorder(), run_metrics(70, 5, 4, 21)
    for split in ("val", "test"):
        del metrics[split]["precision"]
    print_results(metrics, WARD, (), RUN, recorder)
    head, val, test = recorder.lines[:3]
    assert val.split() == ["val", "0.8000", "0.8010", "0.8571", "0.8571", "0.8000"]
    assert len(head) == len(val) == len(test)
