"""Writes a study file from runs: their configurations as rows, and room for claims."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cxr_runner.artifacts.rundir import Run
from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import plural
from cxr_runner.config.usual_settings import read_defaults, usual_training
from cxr_runner.study.document import VERSION
from cxr_runner.study.row_parts import NO_PART
from cxr_runner.study.study_rows import flatten_config, same_setting

_SPLIT = ("strategy", "folds", "val_share", "keep_test")  # of data.split, what replicates share
_FOLDER = ("positive", "negative", "ignore", "class_pattern", "patient_pattern", "subfolders", "where")
_DEFINITIONS = """
# The numbers that claims are about, each of one run. A smaller difference than `margin` is called none.
definitions:
  - id: accuracy
    name: test accuracy
    says: The share of all test images that are classified correctly, at the threshold of a half.
    because: It is what people ask for first.
    margin: 0.01
  - id: auroc
    name: test AUROC
    says: How often a positive test image has a higher output than a negative one.
    because: It asks for no threshold.
    margin: 0.01
"""
_CLAIM = """
# What you expect, before you look at the runs that it is about: the report computes which came first. `expect` is how
# the second of each pair stands to the first: higher, lower, not higher, not lower or alike (within the margin); or
# above, with a bound, of rows. Write your own in place of [], in the form of this one.
claims: []
#  - id: second_ranks_better
#    rows: [{first}, {second}]
#    says: The second ranks better than the first.
#    because: Why you expect it.
#    conditions:
#      - {{statistic: auroc, expect: higher, pairs: [[{first}, {second}]]}}
"""


def draft_study(name: str, runs: Iterable[Run]) -> str:
    """Return the text of a study file with a row for each configuration of some runs.

    Args:
        name: name of the study.
        runs: runs of an outputs tree; those that are not finished are passed over.

    Raises:
        UserError: none of them is finished.
    """
    finished = [run for run in runs if not run.problem]
    if not finished:
        raise UserError("there is no finished run to make a study of")
    configs = list({_key(run): run for run in reversed(finished)}.values())[::-1]
    rows = _named([(run.name, _own(run.config)) for run in configs])
    shared = _shared([settings for _, settings in rows])
    lines = [
        f"# A study made of {plural(len(finished), 'run')} by `cxr-study new {name}`. What is here is yours to change;",
        f"# `cxr-study {name}.yaml` trains what is missing, `cxr-report OUTPUTS --study {name}.yaml` reports.",
        f"schema: {VERSION}",
        f"title: {_text(name)}  # what the report calls it",
        'citation: ""  # how to cite it, or its images',
        "",
        *_data(finished),
        "",
        *_conditions(shared),
        "# One configuration each: what differs from the defaults of cxr-run. A `title` says it in words.",
        "rows:",
    ]
    for row_id, settings in rows:
        own = {key: value for key, value in settings.items() if key not in shared}
        lines += [f"  - id: {_text(row_id)}", f"    settings: {_flow(own)}"]
    first, second = rows[0][0], rows[min(1, len(rows) - 1)][0]
    return "\n".join(lines) + "\n" + _DEFINITIONS + _CLAIM.format(first=_text(first), second=_text(second))


def _key(run: Run) -> str:
    return json.dumps(_own(run.config), sort_keys=True, default=str)


def _own(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a run's training is not the default, model and optimizer always."""
    given = flatten_config(config)
    model, optimizer = given.get("model.name"), given.get("optimizer.name")
    usual = flatten_config(usual_training(str(model), str(optimizer or "sgd")))
    differing = {
        key: given[key]
        for key, value in usual.items()
        if key in given and key not in NO_PART and not same_setting(given[key], value)
    }
    return {"model": model} | ({"optimizer": optimizer} if optimizer else {}) | differing


def _named(rows: Sequence[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """Return rows by names that none of them shares."""
    counts: Counter[str] = Counter()
    named = []
    for name, settings in rows:
        counts[name] += 1
        named.append((name if counts[name] == 1 else f"{name}_{counts[name]}", settings))
    return named


def _shared(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings of training, but for model and optimizer, that all rows have alike."""
    if len(rows) < 2:
        return {}
    keys = [key for key in rows[0] if key.partition(".")[0] not in ("model", "optimizer")]
    return {key: rows[0][key] for key in keys if all(key in row and row[key] == rows[0][key] for row in rows)}


def _conditions(shared: Mapping[str, Any]) -> list[str]:
    if not shared:
        return []
    lines = (f"  {key}: {_text(value)}" for key, value in shared.items())
    return ["# What all rows share besides the defaults of cxr-run.", "conditions:", *lines, ""]


def _data(runs: Sequence[Run]) -> list[str]:
    """Return the lines on the images and on what is trained, of the data that most runs have."""
    texts = Counter(json.dumps(_without_replicate(run.config["data"])) for run in runs)
    config = json.loads(texts.most_common(1)[0][0])
    usual = read_defaults("data", config["name"])
    split, usual_split = config.get("split") or {}, usual.get("split") or {}
    settings = {f"data.split.{key}": split[key] for key in split if split[key] != usual_split.get(key)}
    folder = {f"data.{key}": config[key] for key in _FOLDER if key in config and config[key] != usual.get(key)}
    lines = ["data:", f"  image_size: {config['image_size']}"]
    lines += [f"  settings: {_flow(settings)}  # on any data"] if settings else []
    lines += [f"  folder: {_flow(folder)}  # on a folder of images"] if folder and config["name"] == "folder" else []
    seeds = max(Counter((run.name, run.id) for run in runs).values())
    return [*lines, f"runs: {{seeds: {seeds}, preset: full}}"]


def _without_replicate(data: Mapping[str, Any]) -> dict[str, Any]:
    split = data.get("split") or {}
    return {**data, "split": {key: value for key, value in split.items() if key in _SPLIT}}


def _flow(settings: Mapping[str, Any]) -> str:
    return f"{{{', '.join(f'{key}: {_text(value)}' for key, value in settings.items())}}}"


def _text(value: Any) -> str:
    """Return a value as YAML; a word needs no quotes."""
    plain = isinstance(value, str) and value.replace("_", "").isalpha() and value.lower() not in _WORDS
    return value if plain else json.dumps(value, ensure_ascii=False)


_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n", "none")  # which YAML takes for other than text
