"""The card of a model: what it is, how it did, where it fails, and what guidelines ask beyond what runs know."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cxr_runner.artifacts.evaluation_file import read_evaluations
from cxr_runner.artifacts.explanation_file import EXPLANATION, EXPLANATIONS
from cxr_runner.base.markdown import markdown_facts, markdown_list, markdown_table, markdown_text, sentence
from cxr_runner.base.slug import slug
from cxr_runner.inference.card.card_facts import card_facts
from cxr_runner.inference.card.checklist_item import Checklist, ChecklistItem
from cxr_runner.inference.card.claim_2024 import CLAIM_2024
from cxr_runner.inference.card.test_results import (
    measure_test,
    metric_table,
    say_failures,
    subgroup_table,
)
from cxr_runner.inference.card.tripod_ai import TRIPOD_AI

if TYPE_CHECKING:  # it is handed a model, it loads none
    from cxr_runner.inference.loaded_model import LoadedModel
    from cxr_runner.inference.side_metrics import Measured

CHECKLISTS = (TRIPOD_AI, CLAIM_2024)
_NOTICE = "**Not for clinical use.** How it does elsewhere is not known before it is tried there: `cxr-model evaluate`."
_USE = """\
import cxr_runner
model = cxr_runner.load({runs})  # {where}
print(model.predict(["image.png"]))  # name, logit, probability, decision
logits = model.module(model.preprocess(["image.png"]))
"""
_BLANK = "______"
_SECTIONS = {  # headings of the card, and the facts below each, by what they are called there
    "Data": {
        "source": "Trained on",
        "outcome": "Classes",
        "inventory": "Inventory",
        "excluded": "Left out",
        "counts": "Images",
        "splits": "Splits",
        "level": "Splits are apart by",
        "preprocessing": "Preprocessing",
    },
    "Model": {
        "architecture": "Architecture",
        "initialization": "First weights",
        "training": "Training",
        "imbalance": "Class weights",
        "selection": "Which weights",
        "ensemble": "Ensemble",
        "output": "Output",
        "calibration": "Calibration",
        "code": "Versions",
    },
}


def model_card(model: "LoadedModel", *, handed_on: bool) -> tuple[str, str]:
    """Return the card of a model and the checklists that it was written by, in Markdown.

    Neither names an image or a patient. What nobody but people can know stands in blanks.

    Args:
        model: a model of runs, or of a folder that was handed on.
        handed_on: whether the card lies in a folder that is handed on, beside the weights.
    """
    evaluations = list(read_evaluations(model.parts.folder))
    explained = (model.parts.folder / EXPLANATIONS / EXPLANATION).is_file()
    measured, groups = measure_test(model), subgroup_table(model)
    facts = card_facts(model, evaluations, explained=explained)
    facts |= {
        "failures": say_failures(model),
        "subgroups": "See the metrics by subgroup." if groups else "",
    }
    limits = say_limits(model, facts, evaluations)
    facts["limits"] = " ".join(limits)
    negative, positive = map(markdown_text, model.class_names)
    images = model.parts.held_out("test")
    parts = [
        _metadata(model, measured),
        f"# {positive} or {negative} on chest X-rays",
        _NOTICE,
        *_facts(facts),
        "## On its own test images",
        f"{len(images):,} images of the same place, each judged by networks that have not seen it. In brackets 95 %, "
        "by resampling patients, images where these are not known.",
        metric_table(measured),
        *(["### By subgroup", groups] if groups else []),
        "### Where it fails",
        markdown_text(facts["failures"]),
        *(["## On images of another place", markdown_text(facts["external"])] if facts["external"] else []),
        "## Limits",
        markdown_list(limits),
        "## Use",
        *_use(model, handed_on=handed_on or not model.parts.runs),
        "## To be filled in",
        "What reporting guidelines ask and no run knows, by the numbers of their items.",
        *(block for one in CHECKLISTS for block in _blanks(one, facts)),
    ]
    return _checked(_joined(parts)), _checklists(facts)


def _checked(text: str) -> str:
    """Return a card as the Hugging Face Hub reads it; its head is checked on the way."""
    from huggingface_hub import ModelCard  # takes a while to import

    return str(ModelCard(text).content)


def _use(model: "LoadedModel", *, handed_on: bool) -> list[str]:
    keys = [member.key for member in model.members]
    runs, where = ('"."', "in this folder") if handed_on else (json.dumps(keys), "in OUTPUTS/runs")
    named = "." if handed_on else " ".join(keys)
    return [
        f"```python\n{_USE.format(runs=runs, where=where)}```",
        f"`cxr-model predict {named} -- IMAGES`; against labelled images, `cxr-model evaluate {named} data=folder "
        "data.root=DIR`.",
    ]


def say_limits(model: "LoadedModel", facts: Mapping[str, str], evaluations: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what limits the model, as far as its files tell; each a sentence.

    Args:
        model: the model.
        facts: what the card knows.
        evaluations: contents of ``evaluation.json`` of the model.
    """
    said = []
    if model.parts.trained_on["synthetic"]:
        said.append("Trained on synthetic phantom data: it says nothing about X-rays.")
    if not evaluations:
        said.append("No image of another place was tried.")
    said += [sentence(one) for run in model.parts.runs[:1] for one in run.run.data.get("warnings") or ()]
    if model.point.calibration == "none":
        said.append("Probabilities are not calibrated.")
    if any(run.run.metrics.get("collapsed") for run in model.parts.runs):
        said.append("Of its runs, some give every image the same output.")
    if not facts["subgroups"]:
        said.append("No subgroup was looked at: the runs kept no column of age, sex or view.")
    said.append("A label is what the data say; no reader has looked at the images again for this card.")
    return said


def _facts(facts: Mapping[str, str]) -> list[str]:
    blocks = []
    for heading, names in _SECTIONS.items():
        known = {words: facts[name] for name, words in names.items() if facts.get(name)}
        blocks += [f"## {heading}", markdown_facts(known)]
    return blocks


def _metadata(model: "LoadedModel", measured: "Mapping[str, Measured]") -> str:
    """Return the head of the card, which the Hugging Face Hub reads."""
    from huggingface_hub import EvalResult, ModelCardData  # takes a while to import

    title = str(model.parts.trained_on["title"]) or "not named"
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=slug(title),
            dataset_name=title,
            dataset_split="test",
            metric_type=name,
            metric_value=round(measured[key].estimate, 4),
        )
        for key, name in (("auroc", "roc_auc"), ("accuracy", "accuracy"), ("f1", "f1"))
    ]
    data = ModelCardData(
        library_name="cxr_runner",
        pipeline_tag="image-classification",
        tags=["chest-x-ray", "not-for-clinical-use"],
        model_name=f"{model.class_names[1]} or {model.class_names[0]}",
        eval_results=results,
    )
    return f"---\n{data.to_yaml()}\n---"


def _blanks(checklist: Checklist, facts: Mapping[str, str]) -> list[str]:
    lines = [f"**{item.number}** {_named(item, facts)}: {_BLANK}" for item in checklist.items if _open(item, facts)]
    return [f"### {checklist.name}", "\n".join(f"- {line}" for line in lines), f"{checklist.source}."]


def _named(item: ChecklistItem, facts: Mapping[str, str]) -> str:
    missing = _open(item, facts)
    return item.asks if missing == item.asks else f"{item.asks} ({missing})"


def _open(item: ChecklistItem, facts: Mapping[str, str]) -> str:
    """Return what an item asks beyond what is known: all of it, where a fact that would answer it is not."""
    return item.blank or ("" if all(facts.get(name) for name in item.facts) else item.asks)


def _checklists(facts: Mapping[str, str]) -> str:
    parts = ["# Checklists", _NOTICE]
    for checklist in CHECKLISTS:
        rows = [_row(item, facts) for item in checklist.items]
        filled, left = (sum(bool(row[column]) for row in rows) for column in (2, 3))
        summary = f"{checklist.source}; in words of our own. Of {len(rows)} items or parts of items, {filled} are "
        parts += [
            f"## {checklist.name}",
            f"{summary}answered, wholly or in part, and {left} leave something to fill in.",
        ]
        parts.append(markdown_table(["item", "asks", "known", "to be filled in"], rows, [False] * 4))
    return _joined(parts)


def _row(item: ChecklistItem, facts: Mapping[str, str]) -> list[str]:
    known = " ".join(facts[name] for name in item.facts if facts.get(name))
    return [item.number, item.asks, known, _open(item, facts)]


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"
