"""What a search leaves beside its journal: ``search.json`` for the report, ``optimization_results.yaml`` for people."""

import math
from typing import TYPE_CHECKING, Any

from cxr_runner.artifacts.search_file import RESULTS, SEARCH, SEARCH_FORMAT
from cxr_runner.base.checked_json import write_checked_json
from cxr_runner.base.files import write_yaml
from cxr_runner.base.numbers import format_number, plural
from cxr_runner.experiment.search.search_rounds import format_param
from cxr_runner.experiment.search.search_settings import SearchSettings

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

_STATES = {"COMPLETE": "measured", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "running"}


def search_record(study: "Study", settings: SearchSettings) -> dict[str, Any]:
    """Return all that is known of a search, ready for JSON: what was searched, every trial, the best, importances."""
    trials = [_row(one) for one in study.get_trials(deepcopy=False)]
    measured = [one for one in trials if one["state"] == "measured"]
    sign = 1 if settings.higher_is_better else -1
    best = max(measured, key=lambda one: sign * one["value"], default=None)
    record = {
        "format": SEARCH_FORMAT,
        "name": settings.name,
        "metric": settings.metric,
        "higher_is_better": settings.higher_is_better,
        "space": settings.space_text,
        "log": [one.key for one in settings.space if one.log],
        "sampler": dict(settings.sampler),
        "n_trials": settings.n_trials,
        "prune_p": settings.prune_p,
        "trials": trials,
        "best": best["number"] if best else None,
        "best_value": best["value"] if best else None,
        "best_params": best["params"] if best else None,
        "importance": _importance(study),
        "runs_trained": sum(one["trained"] for one in trials),
        "runs_planned": sum(one["planned"] for one in trials),
    }
    return record | {"verdict": [_first_sentence(record)] if best else []}


def leave_record(settings: SearchSettings, record: dict[str, Any]) -> None:
    """Write the record of a search, whole or not at all; the journal alone is what a search goes on from."""
    write_checked_json(settings.folder / SEARCH, record)
    if record["best"] is not None:
        best = record["trials"][record["best"]]
        content = {
            "name": "optuna",
            "best_params": record["best_params"],
            "best_value": record["best_value"],
            "metric": record["metric"],
            "best_trial": record["best"],
            "runs": list(best["runs"].values()),
            "trials": {state: _count(record, state) for state in ("measured", "pruned", "failed")},
        }
        content |= {key: record[key] for key in ("luck", "expected", "test", "nested") if key in record}
        write_yaml(settings.folder / RESULTS, content)


def _row(trial: "FrozenTrial") -> dict[str, Any]:
    known = trial.user_attrs
    trained, planned = known.get("trained", (0, 0))
    values = known.get("values") or {}
    failed = trial.state.name == "FAIL"  # what its other runs came to says nothing of it
    value = trial.value if failed or trial.value is not None else _mean(list(values.values()))
    return {
        "number": trial.number,
        "params": trial.params,
        "state": _STATES[trial.state.name],
        "value": None if value is None or math.isnan(value) else value,
        "values": values,
        "runs": known.get("runs") or {},
        "trained": trained,
        "planned": planned,
        "collapsed": known.get("collapsed", 0),
        "reason": known.get("reason", ""),
    }


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _importance(study: "Study") -> dict[str, float]:
    """Return how much of what varies each parameter decides; nothing where there is too little to tell."""
    import optuna

    measured = [one for one in study.get_trials(deepcopy=False) if one.state.name == "COMPLETE"]
    if len(measured) < 4 or len({one.value for one in measured}) < 2 or len(measured[0].params) < 2:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {key: value for key, value in found.items() if math.isfinite(value)}


def _count(record: dict[str, Any], state: str) -> int:
    return sum(one["state"] == state for one in record["trials"])


def _first_sentence(record: dict[str, Any]) -> str:
    best = record["trials"][record["best"]]
    params = ", ".join(f"{key}={format_param(value)}" for key, value in record["best_params"].items())
    parts = [f"{_count(record, state)} {state}" for state in ("pruned", "failed") if _count(record, state)]
    others = f" ({', '.join(parts)})" if parts else ""
    mean = f", mean of {plural(len(best['values']), 'run')}" if len(best["values"]) > 1 else ""
    head = f"best of {plural(len(record['trials']), 'trial')}{others}: {params}"
    return f"{head}; {record['metric']} {format_number(record['best_value'], '.4f')}{mean}"
