"""Reads a study from its YAML file."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from cxr_runner.artifacts.metrics import metric
from cxr_runner.study.claims import Definition, Rules, read_claims
from cxr_runner.study.figures import SampleView, StudyFigure
from cxr_runner.study.published import ComparedMetric, Confusion, Published, Row, Study


@cache
def load_study() -> Study:
    """Read the study from ``copetti.yaml``."""
    content = yaml.safe_load(files("cxr_runner.study").joinpath("studies/copetti.yaml").read_text("utf-8"))
    return Study(
        title=content["title"],
        author=content["author"],
        splits=content["data"]["splits"],
        image_size=content["data"]["image_size"],
        class_weight=content["class_weight"]["value"],
        conditions=content["conditions"],
        rows=tuple(_rows(content)),
        metrics=tuple(ComparedMetric(**{"words": metric(entry["key"]).words, **entry}) for entry in content["metrics"]),
        confusion=Confusion(**content["confusion"]),
        figures=tuple(_figure(entry) for entry in content["figures"]),
        claims=tuple(read_claims(content["claims"])),
        claims_note=content["claims_note"],
        definitions={entry["id"]: Definition(**entry) for entry in content["definitions"]},
        rules=Rules(**content["verdicts"]),
    )


def _rows(content: Mapping[str, Any]) -> Iterator[Row]:
    published = {}
    for entry in content["published"]:
        published[entry["row"]] = Published(**{key: value for key, value in entry.items() if key != "row"})
    for table in content["tables"]:
        for cells in table["rows"]:
            values = dict(zip(table["columns"], cells, strict=True))
            pos_weight = content["class_weight"]["value"] if values.pop("weighted") else None
            yield Row(
                **values,
                table=table["number"],
                batch_size=table["batch_size"],
                pos_weight=pos_weight,
                published=published.get(values["id"]),
            )


def _figure(entry: Mapping[str, Any]) -> StudyFigure:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    if "samples" in values:
        values["samples"] = SampleView(**values["samples"])
    return StudyFigure(**values)
