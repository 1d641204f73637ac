"""Members after training: their logits and weights, whether the weights give the logits, and a diagnosis."""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cxr_runner.artifacts.readme import readme_text
from cxr_runner.base.errors import DivergedError
from cxr_runner.base.files import write_text
from cxr_runner.config.schema import LogisticConfig
from cxr_runner.config.validation import needs_gram
from cxr_runner.data.dataset import Dataset
from cxr_runner.experiment.member import Member
from cxr_runner.experiment.results import EVALUATED, write_results
from cxr_runner.models.build import describe_model
from cxr_runner.models.classifier import trained_part
from cxr_runner.training.devices import describe_device, num_processes
from cxr_runner.training.diagnosis import spread_out
from cxr_runner.training.gram.final_state import write_final_state
from cxr_runner.training.loop import Subset
from cxr_runner.training.weight_check import largest_disagreements

_WEIGHTS_AT_ONCE = 8 * 10**7  # of finished models: 0.3 GB; what is written is there of one only
_TOLERANCE = 1e-3  # of the saved model's logits against the engine's, relative; float32 rounding stays far below


@dataclass(frozen=True)
class MemberResults:
    """One member after its last epoch.

    Attributes:
        logits: for each of :data:`EVALUATED`, float32 [images], as the engine computed them.
        model: with its final weights.
        weights: of what was trained of it, float32, under its plain names.
        disagreement: the largest difference between these logits and those that the weights give; None for the pixel
            engine, which computes with the weights themselves.
        diagnosis: dead units and gradient norms.
    """

    logits: dict[str, Tensor]
    model: nn.Module
    weights: dict[str, Tensor]
    disagreement: float | None
    diagnosis: dict[str, Any]

    def problem(self, member: Member) -> str:
        """Say why these are no results of a member, and what to try; '' where they are."""
        remedy = member.trainer.settings.remedy
        largest = torch.cat(list(self.logits.values())).abs().max().item()  # nan if any is
        if not math.isfinite(largest):
            return f"training ended with outputs that are not finite; try {remedy}"
        if self.disagreement is not None and not self.disagreement <= _TOLERANCE * (1 + largest):  # so that nan fails
            pixels = "" if needs_gram(member.run.config.model) else "engine=pixel or "
            return (
                f"the saved weights give logits that differ by {self.disagreement:.2g} from those of engine=gram; "
                f"the training has left the range of float32, try {pixels}{remedy}"
            )
        return ""


def leave_results(members: Sequence[Member], origin: dict[str, Any]) -> None:
    """Evaluate members and write what each leaves; those without results fail.

    Args:
        members: after their last epoch, of one stack.
        origin: what holds for all of them, ready for JSON: versions, machine, size of the stack.
    """
    for some in _few_at_once(members):
        _leave_results(some, origin)


def _few_at_once(members: Sequence[Member]) -> Iterator[Sequence[Member]]:
    """Cut members where their finished models would take too much memory."""
    some, num_weights = list[Member](), 0
    for member in members:
        own = sum(parameter.numel() for parameter in member.model.parameters())
        if some and num_weights + own > _WEIGHTS_AT_ONCE:
            yield some
            some, num_weights = [], 0
        some.append(member)
        num_weights += own
    yield some


def _leave_results(members: Sequence[Member], origin: dict[str, Any]) -> None:
    for member, evaluation in zip(members, evaluate(members), strict=True):
        if problem := evaluation.problem(member):
            member.fail(DivergedError(problem))
            continue
        facts = origin | _facts(member) | {"engine_disagreement": evaluation.disagreement}
        facts["diagnosis"] = {"start": member.diagnosis, "end": evaluation.diagnosis}
        run = member.run
        compact = run.config.save == "compact" and run.choice.engine == "gram"
        weights = None if compact else final_weights(evaluation.model, evaluation.weights)
        write_results(run.files, run.dataset, member.trainer, evaluation.logits, weights, run.config.batch_size, facts)
        described = describe_model(run.config.model, member.model)
        if run.choice.engine == "gram":
            write_final_state(run.files, member.trainer, member.kernels_name)
        target = getattr(run.config.model, "target", "")
        text = readme_text(described, run.config.data.image_size, run.dataset.class_names, target)
        write_text(run.files.readme, text)
        member.end()


def evaluate(members: Sequence[Member]) -> list[MemberResults]:
    """Evaluate members together."""
    first, backend = members[0].run, members[0].trainer.backend
    numbers = [member.trainer.member for member in members]
    rows = {split: subset(first.dataset, split).rows for split in EVALUATED}
    logits = {split: backend.logits(numbers, rows[split], first.config.batch_size).float() for split in EVALUATED}
    weights = backend.weights(numbers)
    models = [with_weights(member.model, values) for member, values in zip(members, weights, strict=True)]
    disagreements: list[float | None] = [None] * len(members)
    if backend.name == "gram":
        both, joined = torch.cat(list(rows.values())), torch.cat(list(logits.values()), dim=1)
        disagreements = list(largest_disagreements(models, first.dataset, both, joined, first.device))
    diagnoses = diagnose_members(members)
    return [
        MemberResults(
            logits={split: logits[split][number] for split in EVALUATED},
            model=models[number],
            weights=weights[number],
            disagreement=disagreements[number],
            diagnosis=diagnoses[number],
        )
        for number in range(len(members))
    ]


def diagnose_members(members: Sequence[Member]) -> list[dict[str, Any]]:
    """Diagnose members of one stack, as they are, on a few of their training images."""
    first = members[0]
    train, numbers = first.trainer.train, [member.trainer.member for member in members]
    chosen = spread_out(len(train.rows))
    rows, labels = train.rows[chosen], train.labels[chosen]
    return first.trainer.backend.diagnose(numbers, rows, labels, first.run.config.batch_size)


def with_weights(model: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """Return a model of the same layers with these weights, none of them copied; the model itself stays as it is.

    Args:
        model: the model.
        weights: of what is trained of it, under its plain names.
    """
    shared = {id(value): value for value in (*model.parameters(), *model.buffers())}
    other = copy.deepcopy(model, shared)
    trained_part(other).load_state_dict(weights, assign=True)
    return other


def final_weights(model: nn.Module, trained: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return all weights of a model under its plain names, on the CPU; of a frozen one those that stayed too.

    Args:
        model: after training.
        trained: weights of what was trained of it.
    """
    if trained_part(model) is model:
        return trained
    return {name: value.detach().cpu().clone().contiguous() for name, value in model.state_dict().items()}


def subset(dataset: Dataset, split: str) -> Subset:
    """Return the images of a split."""
    return Subset(torch.tensor(dataset.rows(split)), torch.tensor(dataset.labels(split)).float())


def _facts(member: Member) -> dict[str, Any]:
    run = member.run
    return {
        "engine": run.choice.engine,
        "engine_reason": run.choice.reason,
        "device": describe_device(run.device),
        "num_processes": num_processes(),
        "precision": run.config.precision,
        "num_parameters": sum(parameter.numel() for parameter in member.model.parameters()),
        "pos_weight": member.pos_weight,
        **_penalty(member),
    } | _what_made_it(member)


def _what_made_it(member: Member) -> dict[str, Any]:
    """Return the kernels, where there is a choice, and the run that it went on from, where it did."""
    name, own = member.kernels_name, member.kernels
    facts: dict[str, Any] = {"kernels": name} if name else {}
    if name and own and name.endswith(own.name):  # they have computed some of it
        facts["kernels_reason"] = own.reason
    return facts | ({"went_on_from": member.went_on_from} if member.went_on_from else {})


def _penalty(member: Member) -> dict[str, float]:
    """Return the penalty of logistic regression, as this program and as scikit-learn write it; nothing of others."""
    if not isinstance(member.run.config.model, LogisticConfig):
        return {}
    l2 = member.trainer.history[member.trainer.best.epoch - 1].lr
    return {"l2": l2, "scikit_learn_C": 1 / (l2 * len(member.trainer.train.rows))}
