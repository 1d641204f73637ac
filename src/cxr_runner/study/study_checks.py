"""What has to fit together in a study file: what is referred to exists, and nothing stands twice."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from cxr_runner.artifacts.metrics import METRICS
from cxr_runner.base.numbers import list_few
from cxr_runner.config.yaml_lines import LinedYaml, Step
from cxr_runner.study.claims import STATISTICS

if TYPE_CHECKING:  # named here, and made elsewhere
    from cxr_runner.study.claims import Condition
    from cxr_runner.study.document import StudyDocument
    from cxr_runner.study.published import Study

Reference = tuple[str, Sequence[Step]]  # what is referred to, and where


def check_study(study: "Study", document: "StudyDocument", file: LinedYaml) -> None:
    """Refuse a study that refers to what it has not.

    Raises:
        UserError: it does; the message says in which line.
    """
    if not study.rows:
        raise file.error([], "rows are missing: a study has at least one", value=False)
    paths = row_paths(file)
    ids = [row.id for row in study.rows]
    _check_unique(ids, paths, "id", file)
    _check_unique([str(sorted(row.own.items(), key=str)) for row in study.rows], paths, "", file)
    for name in ("claims", "definitions"):
        entries = getattr(document, name)
        _check_unique([one.id for one in entries], [(name, number) for number in range(len(entries))], "id", file)
    numbers = [("figures", number) for number in range(len(document.figures))]
    _check_unique([str(figure.number) for figure in document.figures], numbers, "number", file)
    _check_definitions(document, file)
    _check_known(_named_rows(document), ids, "row", file)
    _check_known(_statistics(document), list(study.definitions), "definition", file)
    figures = [str(figure.number) for figure in study.figures]
    shown = ((str(one.figure), ("claims", n, "figure")) for n, one in enumerate(document.claims) if one.figure)
    _check_known(shown, figures, "figure", file)
    compared = ((one.key, ("metrics", n, "key")) for n, one in enumerate(document.metrics))
    _check_known(compared, [one.key for one in METRICS], "metric", file)
    _check_conditions(study, file)


def row_paths(file: LinedYaml) -> list[Sequence[Step]]:
    """Return where each row stands, those of tables first."""
    tables = file.content.get("tables", [])
    paths: list[Sequence[Step]] = [
        ("tables", position, "rows", number)
        for position, table in enumerate(tables)
        for number in range(len(table["rows"]))
    ]
    return paths + [("rows", number) for number in range(len(file.content.get("rows", [])))]


def _check_unique(names: Sequence[str], paths: Sequence[Sequence[Step]], key: str, file: LinedYaml) -> None:
    first: dict[str, Sequence[Step]] = {}
    for name, path in zip(names, paths, strict=True):
        if name in first:
            line = file.lines[tuple(first[name])]
            said = f"{key} {name} stands twice" if key else "is the same configuration as another row"
            raise file.error(path, f"{said}, first in line {line}", value=False)
        first[name] = path


def _check_known(references: Iterable[Reference], known: Sequence[str], what: str, file: LinedYaml) -> None:
    for name, path in references:
        if name not in known:
            valid = f"valid are {list_few(known)}" if known else "the file has none"
            raise file.error(path, f"there is no {what} {name}; {valid}", value=False)


def _named_rows(document: "StudyDocument") -> Iterator[Reference]:
    for n, published in enumerate(document.published):
        yield published.row, ("published", n, "row")
    if document.confusion:
        yield document.confusion.row, ("confusion", "row")
    for name in ("figures", "claims"):
        for n, entry in enumerate(getattr(document, name)):
            yield from ((row, (name, n, "rows", m)) for m, row in enumerate(entry.rows))
    for condition, path in _conditions(document):
        for key in ("rows", "beside"):
            yield from ((row, (*path, key, m)) for m, row in enumerate(getattr(condition, key)))
        for m, pair in enumerate(condition.pairs):
            yield from ((row, (*path, "pairs", m)) for group in pair for row in group)
    for n, statement in enumerate(document.errata.statements):
        yield from ((row, ("errata", "statements", n, "models", row)) for row in statement.models)


def _conditions(document: "StudyDocument") -> Iterator[tuple["Condition", Sequence[Step]]]:
    for n, claim in enumerate(document.claims):
        yield from ((one, ("claims", n, "conditions", m)) for m, one in enumerate(claim.conditions))


def _statistics(document: "StudyDocument") -> Iterator[Reference]:
    yield from ((condition.statistic, (*path, "statistic")) for condition, path in _conditions(document))


def _check_conditions(study: "Study", file: LinedYaml) -> None:
    """Refuse a condition that is no setting of any row."""
    known = {key for row in study.rows for key in (*row.own, *row.shared)}
    for key in study.conditions:
        if key not in known:
            raise file.error(["conditions", key], "no row has such a setting", value=False)


def _check_definitions(document: "StudyDocument", file: LinedYaml) -> None:
    """Refuse a definition of what is not computed, or without a parameter that it needs."""
    ids = {one.id for one in document.definitions}
    for number, one in enumerate(document.definitions):
        path = ("definitions", number, "id")
        if one.id not in STATISTICS:
            raise file.error(path, f"valid are {', '.join(STATISTICS)}")
        needed, given = STATISTICS[one.id], tuple(one.parameters)
        if sorted(given) != sorted(needed):
            needs = f"needs parameters {{{', '.join(needed)}}}" if needed else "has no parameters"
            raise file.error(path, needs)
        if one.id == "overfits" and "swing_loss" not in ids:
            raise file.error(path, "needs the definition of swing_loss as well")
