"""Reads a study file into a :class:`~cxr_runner.study.published.Study`; what is wrong in it is named with its line."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cxr_runner.base.errors import UserError
from cxr_runner.base.files import MOST_YAML, regular
from cxr_runner.base.numbers import list_few
from cxr_runner.config.schema_words import say_valid
from cxr_runner.config.usual_settings import override
from cxr_runner.config.yaml_lines import LinedYaml, parse_lined
from cxr_runner.study.document import VERSION, Settings, StudyDocument
from cxr_runner.study.figures import StudyFigure
from cxr_runner.study.published import ComparedMetric, Statement, Study, StudyRuns
from cxr_runner.study.row_parts import build_rows
from cxr_runner.study.study_checks import check_study

_FOLDER = files("cxr_runner.study") / "studies"
_UNPUBLISHED = tuple(ComparedMetric(key) for key in ("accuracy", "f1", "auroc"))  # where nothing else is asked for


def load_study(study: str = "copetti") -> Study:
    """Read a study.

    Args:
        study: name of one that comes with the package, or path of a file.

    Raises:
        UserError: there is none, or there is a mistake in it; the message says in which line.
    """
    return _packaged(study) if study in packaged_studies() else parse_study(read_study_file(study), study)


def packaged_studies() -> list[str]:
    """Return the names of the studies that come with the package."""
    return sorted(file.name.removesuffix(".yaml") for file in _FOLDER.iterdir() if file.name.endswith(".yaml"))


@cache
def _packaged(name: str) -> Study:
    file = f"{name}.yaml"
    return parse_study(_FOLDER.joinpath(file).read_text("utf-8"), file)


def read_study_file(given: str) -> str:
    """Return the text of a study file.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    path = Path(given).expanduser()
    try:
        text = regular(path, MOST_YAML).read_bytes().decode("utf-8")
    except FileNotFoundError:
        valid = f"no such study; valid are {list_few(packaged_studies())} and the path of a file"
        raise UserError(f"{given}: {valid}") from None
    except OSError as error:
        raise UserError(f"{given}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{given}: is not text in UTF-8 ({error.reason} at byte {error.start})") from None
    return text


def parse_study(text: str, place: str) -> Study:
    """Read a study from the text of its file.

    Args:
        text: the text.
        place: what the file is called in messages; its last part, without ending, names the study.

    Raises:
        UserError: there is a mistake in it; the message says in which line.
    """
    file = parse_lined(text, place)
    version = file.content.get("schema")
    if version != VERSION or type(version) is not int:
        said = f"this version of cxr_runner reads study files of schema {VERSION}"
        raise file.error(["schema"], said if "schema" in file.content else f"schema is missing; {said}")
    document = _validate(file)
    study = _study(document, Path(place).name.removesuffix(".yaml"), file)
    check_study(study, document, file)
    return study


def _validate(file: LinedYaml) -> StudyDocument:
    adapter = _adapter()
    try:
        # As JSON, because in strict mode Python lists are no tuples.
        return adapter.validate_json(json.dumps(file.content))
    except ValidationError as error:
        errors = error.errors()
    # An unknown key first: it may be another one, misspelt, that is then missing.
    first = next((one for one in errors if one["type"] == "unexpected_keyword_argument"), errors[0])
    path = list(first["loc"])
    if first["type"] == "missing":
        raise file.error(path[:-1], f"{path[-1]} is missing", value=False)
    if first["type"] == "unexpected_keyword_argument":
        near = get_close_matches(str(path[-1]), _keys(), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise file.error(path, f"there is no such key here{hint}", value=False)
    raise file.error(path, say_valid(first))


@cache
def _adapter() -> TypeAdapter[StudyDocument]:
    return TypeAdapter(StudyDocument)


def _keys() -> list[str]:
    """Return all keys that a study file has somewhere."""
    schema = _adapter().json_schema()
    parts = [schema, *schema["$defs"].values()]
    return sorted({key for part in parts for key in part.get("properties", {})})


def _study(document: StudyDocument, name: str, file: LinedYaml) -> Study:
    data, runs = document.data, document.runs
    settings, folder = (_arguments(part) for part in (data.settings, data.folder))
    rows = tuple(build_rows(document, file))
    return Study(
        name=name,
        title=document.title,
        author=document.author,
        citation=document.citation,
        images=data.name,
        splits=data.splits,
        test=_test_counts(document),
        image_size=data.image_size,
        conditions=document.conditions,
        rows=rows,
        metrics=document.metrics or _UNPUBLISHED,
        confusion=document.confusion,
        figures=tuple(_figures(document)),
        claims=document.claims,
        claims_note=document.claims_note,
        definitions={one.id: one for one in document.definitions},
        rules=document.verdicts,
        statements=tuple(_statements(document)),
        arithmetic={key: value for key, value in asdict(document.errata.arithmetic).items() if value is not None},
        runs=StudyRuns(runs.seeds, runs.preset, settings, folder),
    )


def _arguments(settings: Settings) -> tuple[str, ...]:
    return tuple(override(key, value) for key, value in settings.items())


def _test_counts(document: StudyDocument) -> tuple[int, int] | None:
    if document.data.test:
        return document.data.test.positives, document.data.test.negatives
    return (document.confusion.positives, document.confusion.negatives) if document.confusion else None


def _figures(document: StudyDocument) -> Iterator[StudyFigure]:
    """Yield the figures as stated, and a table of what was published where none of them is one."""
    yield from document.figures
    published = tuple(dict.fromkeys(one.row for one in document.published))
    if published and not any(figure.kind == "metrics" for figure in document.figures):
        number = 1 + max((figure.number for figure in document.figures), default=0)
        caption = "Published test metrics"
        yield StudyFigure(number, "metrics", caption, "", rows=published, conditions=caption.lower())


def _statements(document: StudyDocument) -> Iterator[Statement]:
    for part in document.errata.statements:
        models: Mapping[str, Mapping[str, Any]] = {row: {**part.all, **said} for row, said in part.models.items()}
        yield Statement(part.source, models)
