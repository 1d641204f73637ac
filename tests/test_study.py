"""The study as data, and which runs are rows of it."""

from copy import deepcopy
from typing import Any

import pytest

from cxr_runner.config.compose import compose
from cxr_runner.config.identity import to_dict
from cxr_runner.config.validation import KEYS
from cxr_runner.study import FAMILIES, Row, load_study, match_row

STUDY = load_study()
# Which data, with which randomness, how and where it is computed and written: the rows of the study do not say.
PLAYS_NO_PART = {
    *(key for key in KEYS if key.split(".")[0] == "data"),
    *("seed", "seeds", "engine", "device", "deterministic", "kernels", "outputs", "name", "force", "progress"),
    *("plots", "save"),  # of what is kept
    *("schedule.step_epochs", "schedule.gamma"),  # of a schedule that is off
    *("early_stopping.metric", "early_stopping.min_delta"),  # of early stopping that is off
}


def configuration(row: Row) -> dict[str, Any]:
    """Return a run's configuration, nested, with nothing in it but the row's settings."""
    config: dict[str, Any] = {}
    for key, value in row.settings().items():
        group_values = config
        *groups, leaf = key.split(".")
        for group in groups:
            group_values = group_values.setdefault(group, {})
        group_values[leaf] = value
    return config


def changed(config: dict[str, Any], **changes: object) -> dict[str, Any]:
    """Return a configuration with other values, ``model__hidden`` standing for ``model.hidden``."""
    config = deepcopy(config)
    for name, value in changes.items():
        *groups, leaf = name.split("__")
        group_values = config
        for group in groups:
            group_values = group_values.setdefault(group, {})
        group_values[leaf] = value
    return config


def dotted(config: dict[str, Any], prefix: str = "") -> set[str]:
    lists = [
        dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key} for key, value in config.items()
    ]
    return set().union(*lists)


def test_the_tables_are_whole() -> None:
    ids = [row.id for row in STUDY.rows]
    assert ids == [*map(str, range(26)), *(f"{number}b" for number in range(20, 26))]
    assert [row.table for row in STUDY.rows] == [1] * 26 + [2] * 6
    assert {row.id for row in STUDY.published_rows(20)} == {"20", "21", "22", "23", "24", "25"}
    assert {row.id for row in STUDY.published_rows(23)} == {"20b", "21b", "22b", "23b", "24b", "25b"}
    assert len(STUDY.published_rows()) == 12


def test_no_two_rows_have_the_same_configuration() -> None:
    assert len({str(row.settings()) for row in STUDY.rows}) == len(STUDY.rows)


def test_the_figures_are_numbered_through_and_name_rows_that_there_are() -> None:
    assert [figure.number for figure in STUDY.figures] == list(range(1, 26))
    ids = {row.id for row in STUDY.rows}
    for entry in (*STUDY.figures, *STUDY.claims):
        assert set(entry.rows) <= ids
        assert len(set(entry.rows)) == len(entry.rows)
    assert len({claim.id for claim in STUDY.claims}) == len(STUDY.claims)


def test_what_a_figure_says_varies_is_what_differs_between_its_rows() -> None:
    for figure in STUDY.figures:
        if figure.varies and figure.number != 17:  # the study's comparison of optimizers also differs in weight
            rows = [STUDY.row(row_id) for row_id in figure.rows]
            named = {tuple(getattr(row, name) for name in figure.varies.split(" and ")) for row in rows}
            assert len(named) == len(rows)
            # The learning rate goes with the family, and what shapes the families is not comparable between them.
            shapes = {(row.family, row.optimizer, row.batch_size, row.epochs) for row in rows}
            assert len(shapes) == (len(FAMILIES) if "family" in figure.varies else 1)


def test_the_split_sizes_and_the_confusion_matrix_agree() -> None:
    assert sum(STUDY.splits.values()) == 5824
    assert (STUDY.confusion.positives, STUDY.confusion.negatives) == (411, 171)
    assert STUDY.confusion.positives + STUDY.confusion.negatives == STUDY.splits["test"]


@pytest.mark.parametrize("row", STUDY.rows, ids=lambda row: row.id)
def test_a_run_is_matched_to_its_row_by_its_configuration(row: Row) -> None:
    config = configuration(row)
    assert match_row(config, STUDY) == row.id
    assert match_row(changed(config, seed=3, engine="pixel", device="cuda", data__image_size=64), STUDY) == row.id
    assert match_row(changed(config, optimizer__lr=row.lr * 10), STUDY) is None
    assert match_row(changed(config, batch_size=16), STUDY) is None
    assert match_row(changed(config, optimizer__momentum=0.9), STUDY) is None
    assert match_row(changed(config, early_stopping__patience=5), STUDY) is None
    assert match_row(changed(config, loss__pos_weight="balanced"), STUDY) is None


def test_neither_an_empty_nor_a_foreign_configuration_is_a_row() -> None:
    assert match_row({}, STUDY) is None
    assert match_row({"model": "linear", "optimizer": ["sgd"], "loss": None}, STUDY) is None
    assert match_row(changed(configuration(STUDY.row("5")), model__output_relu=False), STUDY) is None


def test_every_key_either_makes_a_row_or_is_as_in_the_study_or_plays_no_part() -> None:
    of_rows = {key for row in STUDY.rows for key in row.settings()}
    pairs = [(f"model={family}", f"optimizer={name}") for family in FAMILIES for name in ("sgd", "adam")]
    leaves = {key for pair in pairs for key in dotted(to_dict(compose(pair)[0]))}  # other models make no row
    assert leaves <= of_rows | set(STUDY.conditions) | PLAYS_NO_PART
    assert of_rows | set(STUDY.conditions) <= KEYS
    assert not (of_rows | set(STUDY.conditions)) & PLAYS_NO_PART


def test_titles_and_experiments_are_named_after_the_rows() -> None:
    assert STUDY.row("0").title == "Linear, 2 layers, 10 units"
    assert STUDY.row("13").title == "CNN, 10 filters 5x5"
    assert STUDY.row("18").title == "Linear+ReLU, 2 layers, 10 units, weighted, Adam"
    assert [STUDY.row(row_id).experiment for row_id in ("0", "25", "24b")] == ["table1_00", "table1_25", "table2_24b"]
