"""What the errata of the study mean for its conclusions, in sentences whose every figure is computed."""

from collections.abc import Hashable, Iterable
from typing import Any

import pandas as pd

from cxr_runner.study.claims_in_print import claim_table
from cxr_runner.study.errata import accuracy_table, recovery_table
from cxr_runner.study.misprints import num_statements, slip_table, stepped_rows
from cxr_runner.study.published import Study


def consequences(study: Study) -> list[str]:
    """Say what arithmetic on the published numbers alone does to the study's conclusions.

    Returns:
        Plain sentences, the weightiest first.
    """
    recovered = recovery_table(study)
    ranked = len(recovered) > 1 and recovered["correct"].notna().all()
    return [
        _accuracies(accuracy_table(study), recovered, study),
        *([_ranking(recovered), _noise(recovered)] if ranked else []),
        *_claims(claim_table(study)),
        *([_steps(study)] if stepped_rows(study) and "train" in study.splits else []),
        *([_numbers(slip_table(study), study)] if study.statements else []),
    ]


def _accuracies(accuracies: pd.DataFrame, recovered: pd.DataFrame, study: Study) -> str:
    num_images, num = recovered["num_images"].iloc[0], len(accuracies)
    said = (
        f"Of {num} published accuracies, {_are(~accuracies['is_share'])} no share of {num_images} "
        f"images and {_are(~accuracies['allowed'])} impossible beside precision and recall of the same row, if "
        "they are shares of all test images."
    )
    possible, unique = _count(recovered["tp"] != ""), _count(recovered["correct"].notna())
    if study.accuracy.key == "accuracy_batch_mean":
        last, sizes = recovered["last_batch"].iloc[0], " or ".join(map(str, sorted(recovered["batch_size"].unique())))
        said += (
            f" {f'All {num}' if possible == num else possible} are possible as means over batches, in which the "
            f"last {last} images weigh as much as {sizes} others"
        )
    else:
        said += f" {f'All {num}' if possible == num else possible} fit precision, recall and F1 of their row"
    rows = "each row has" if unique == num else f"{unique} rows have"
    return f"{said}; then {rows} exactly one accuracy over all images."


def _ranking(recovered: pd.DataFrame) -> str:
    leaders = recovered[recovered["recovered_rank"] == 1]
    former = recovered[recovered["published_rank"] == 1]
    first = leaders.iloc[0]
    changed = _count(recovered["published_rank"] != recovered["recovered_rank"])
    return (
        f"By accuracy over all test images the ranking changes in {changed} of {len(recovered)} ranks: model "
        f"{first['row']} ({first['model']}, batches of {first['batch_size']}) leads with {first['correct']} of "
        f"{first['num_images']} correct instead of having rank {first['published_rank']}; the published "
        f"leaders, models {_and(former['row'])}, have {_and(former['correct'].unique())}."
    )


def _noise(recovered: pd.DataFrame) -> str:
    first = recovered.sort_values("recovered_rank").iloc[0]
    others = recovered[recovered["row"] != first["row"]]
    inside = others["pooled"].between(first["wilson_low"], first["wilson_high"])
    return (
        f"The 95 % Wilson interval of the leader is {first['wilson_low']:.1f} to {first['wilson_high']:.1f} %, and "
        f"{_count(inside)} of the other {len(others)} models lie in it. All were tested on the same images, so that "
        "a paired test could tell more, but it needs the predictions, which the study does not give; and each model "
        "was trained once, so that what another seed would have given is not known at all."
    )


def _claims(claims: pd.DataFrame) -> list[str]:
    sentences = []
    for claim in claims.to_dict("records"):
        if claim["published_exceptions"] or claim["recovered_exceptions"]:
            metric = "F1" if claim["metric"] == "f1" else claim["metric"]
            clauses = [f"by published {metric} " + _kept(claim, "published")]
            if not pd.isna(claim["recovered"]):
                clauses.append("by the recovered counts of correct images " + _kept(claim, "recovered"))
            sentences.append(f'"{claim["says"]}" ({claim["place"]}): {"; ".join(clauses)}.')
    return [*sentences, *_surviving(claims)]


def _surviving(claims: pd.DataFrame) -> list[str]:
    """Say which claims hold by all published values and by all recovered counts of correct images."""
    broken = claims.groupby("claim")[["published_exceptions", "recovered_exceptions"]].agg("".join).any(axis=1)
    kept = claims[~claims["claim"].map(broken) & claims["recovered"].notna()].drop_duplicates("claim")
    quoted = [f'"{says.rstrip(".")}" ({place})' for says, place in zip(kept["says"], kept["place"], strict=True)]
    if not quoted:
        return []
    return [f"By the published values and by the recovered counts alike, these hold in every part: {_and(quoted)}."]


def _kept(claim: dict[Hashable, Any], source: str) -> str:
    exceptions = claim[f"{source}_exceptions"]
    if not exceptions:
        return f"all {claim['parts']} parts hold"
    return f"{claim[source]} of {claim['parts']} parts hold, but not {exceptions.replace('; ', ', nor ')}"


def _steps(study: Study) -> str:
    first, second = stepped_rows(study)
    steps = [row.epochs * -(-study.splits["train"] // row.batch_size) for row in (first, second)]
    return (
        f"Batch size is not all that differs between {study.table_names}: with batches of {second.batch_size} the "
        f"models train {second.epochs} instead of {first.epochs} epochs, yet take {steps[1]:,} instead of {steps[0]:,} "
        "steps at the same learning rate."
    )


def _numbers(slips: pd.DataFrame, study: Study) -> str:
    return (
        f"Of {num_statements(study)} statements on single models in captions and text, {len(slips)} do not fit "
        f"{study.table_names}; they stand in {_and(slips['place'].unique())}."
    )


def _count(mask: pd.Series) -> int:
    return int(mask.sum())


def _are(mask: pd.Series) -> str:
    return f"{_count(mask)} {'is' if _count(mask) == 1 else 'are'}"


def _and(values: Iterable[object]) -> str:
    *before, last = map(str, values)
    return f"{', '.join(before)} and {last}" if before else last
