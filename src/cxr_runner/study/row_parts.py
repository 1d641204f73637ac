"""Rows of a study file: what each sets, and what it leaves as all others have it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cxr_runner.base.numbers import list_few
from cxr_runner.config.identity import NEVER
from cxr_runner.config.used import may_set
from cxr_runner.config.usual_settings import override, read_defaults, usual_training
from cxr_runner.config.yaml_lines import LinedYaml, Step
from cxr_runner.study.study_rows import Published, Row, flatten_config, same_setting

if TYPE_CHECKING:  # named here, and made elsewhere
    from cxr_runner.study.document import PublishedPart, StudyDocument, TablePart

_GROUPS = ("model", "optimizer")  # of settings, which a name chooses
NO_PART = NEVER | {"deterministic"}  # of what tells rows apart: settings without which the numbers are the same
_NONE = "none"  # in a table, for a setting that the row's model has not


class _Part(NamedTuple):
    """A row as a table or a list has it."""

    id: str
    title: str
    experiment: str | None
    settings: Mapping[str, Any]


def build_rows(document: "StudyDocument", file: LinedYaml) -> Iterator[Row]:
    """Yield the rows of tables and lists, with what was published of them.

    Raises:
        UserError: a row is not valid; the message says in which line.
    """
    published = {part.row: _published(part) for part in document.published}
    for part, table, path in _parts(document, file):
        own = _own(part, path, file)
        shared = _shared(own, document, path, file)
        arguments = _arguments(part, own, shared)
        yield Row(part.id, own, shared, part.experiment, table, part.title, published.get(part.id), arguments)


def _published(part: "PublishedPart") -> Published:
    values = {key: value for key, value in vars(part).items() if key != "row" and value is not None}
    return Published(**values)


def _parts(document: "StudyDocument", file: LinedYaml) -> Iterator[tuple[_Part, int | None, Sequence[Step]]]:
    for position, table in enumerate(document.tables):
        for number in range(len(table.rows)):
            path = ("tables", position, "rows", number)
            yield _of_table(table, number, path, file), table.number, path
    for number, part in enumerate(document.rows):
        yield _Part(part.id, part.title, part.experiment, part.settings), None, ("rows", number)


def _of_table(table: "TablePart", number: int, path: Sequence[Step], file: LinedYaml) -> _Part:
    cells = table.rows[number]
    if len(cells) != len(table.columns):
        raise file.error(path, f"has {len(cells)} cells, the table {len(table.columns)} columns")
    values = dict(zip(table.columns, cells, strict=True))
    row_id, title, experiment = (values.pop(name, None) for name in ("id", "title", "experiment"))
    if row_id is None:
        raise file.error(path, "id is missing: the table needs a column of that name", value=False)
    settings = {key: value for key, value in {**table.shared, **values}.items() if value != _NONE}
    return _Part(str(row_id), str(title or ""), None if experiment is None else str(experiment), settings)


def _own(part: _Part, path: Sequence[Step], file: LinedYaml) -> dict[str, Any]:
    """Return what a row sets, itself or by its experiment file, by dotted keys."""
    from_file = experiment_settings(part.experiment) if part.experiment else {}
    if part.experiment and not from_file and not part.settings:
        raise file.error([*path, "experiment"], "no such experiment file")
    own = {_dotted(key): value for key, value in part.settings.items()}
    own |= {key: value for key, value in from_file.items() if key not in own}
    for group, usual in (("model", "linear"), ("optimizer", "sgd")):
        own.setdefault(f"{group}.name", usual)
    return own


def _dotted(key: str) -> str:
    return f"{key}.name" if key in _GROUPS else key


def _shared(own: Mapping[str, Any], document: "StudyDocument", path: Sequence[Step], file: LinedYaml) -> dict[str, Any]:
    """Return all other settings of a row: the conditions that its model and optimizer have, else the defaults."""
    known = usual_training(str(own["model.name"]), str(own["optimizer.name"]))
    for group in _GROUPS:
        if not known[group]:
            raise file.error([*path, "settings", group], f"there is no {group}={own[f'{group}.name']}", value=False)
    usual = {key: value for key, value in flatten_config(known).items() if key not in NO_PART}
    if strange := sorted(own.keys() - usual.keys()):
        name = strange[0]
        valid = [key for key in usual if key.partition(".")[0] == name.partition(".")[0]] or sorted(usual)
        called = f"no setting of model={own['model.name']} and optimizer={own['optimizer.name']}"
        raise file.error([*path, "settings", name], f"{name} is {called}; valid are {list_few(valid)}", value=False)
    conditions = {_dotted(key): value for key, value in document.conditions.items()}
    set_for_it = {key: value for key, value in conditions.items() if may_set(key, str(own["model.name"]))}
    return {key: set_for_it.get(key, value) for key, value in usual.items() if key not in own}


def _arguments(part: _Part, own: Mapping[str, Any], shared: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what of a row's settings is not the default, or that of its experiment file, as one writes it."""
    usual = flatten_config(usual_training(own["model.name"], own["optimizer.name"]))
    if part.experiment is None:
        chosen = [f"name={part.id}", *(f"{group}={own[f'{group}.name']}" for group in _GROUPS)]
    else:
        chosen = [f"experiment={part.experiment}"]
        usual |= experiment_settings(part.experiment)
    names = [f"{group}.name" for group in _GROUPS]
    given = {key: value for key, value in {**shared, **own}.items() if key not in names}
    return (*chosen, *(override(key, value) for key, value in given.items() if not same_setting(value, usual[key])))


def experiment_settings(name: str) -> dict[str, Any]:
    """Return what an experiment file of this package sets, by dotted keys; nothing where there is no such file."""
    content = dict(read_defaults("experiment", name))
    chosen = content.pop("defaults", [])
    content.pop("name", None)
    groups = {key.removeprefix("override /"): value for entry in chosen for key, value in entry.items()}
    return {f"{group}.name": value for group, value in groups.items()} | flatten_config(content)
