"""Epochs of Gram space as they are recorded for a GPU, played on the CPU beside the steps that the CPU takes."""

import pytest
import torch

from cxr_runner.config.schema import EarlyStoppingConfig, ScheduleConfig, SGDConfig
from cxr_runner.models.build import build_model
from cxr_runner.training.gram import graph_steps
from cxr_runner.training.gram.graph_steps import GraphBackend
from cxr_runner.training.loop import Trainer, train_epoch
from stand_in import GPU, one_gpu, waits
from test_gram import MODELS, _figures, _gram_stack, _mixed_stack, _space, _step_together, images, space  # noqa: F401
from test_train import SIDE, _settings, _subsets, _weights

PLAIN = SGDConfig("sgd", 0.05, 0.0, False, 0.0, None)
MOVING = SGDConfig("sgd", 0.05, 0.9, True, 0.1, None)
CHOSEN = ["linear, one layer", "linear", "linear_relu, three layers"]


@pytest.fixture(autouse=True)
def played(monkeypatch):
    """Record nothing: do the work each time."""
    monkeypatch.setattr(graph_steps, "recorded", lambda work, device: work)


def _graph_stack(space, model, *members):  # noqa: F811
    """Make one backend of all members, those with momentum and those without."""
    settings = [_settings(lr=optimizer.lr, **changes) for optimizer, changes in members]
    models = [build_model(model, SIDE, each.seed) for each in settings]
    optimizers, weights = [optimizer for optimizer, _ in members], [each.pos_weight for each in settings]
    backend = GraphBackend(space, models, optimizers, weights)
    assert len(backend.rest) % 32 == 0
    return [Trainer(backend, *_subsets(), each, member) for member, each in enumerate(settings)]


@pytest.mark.parametrize("model", CHOSEN)
@pytest.mark.parametrize("optimizer", [PLAIN, MOVING], ids=["plain", "momentum and decay"])
def test_recorded_steps_are_those_of_the_cpu(space, model, optimizer):  # noqa: F811
    cosine = {"schedule": ScheduleConfig("cosine", 1, 1, 0.1)}
    members = [(optimizer, {"seed": 2, "pos_weight": 0.37}), (optimizer, {"seed": 4, **cosine})]
    here = _step_together(_gram_stack(space, MODELS[model], *members))
    there = _step_together(_graph_stack(space, MODELS[model], *members))
    for one, other in zip(here, there, strict=True):
        for mine, its in zip(_figures(one), _figures(other), strict=True):
            assert mine == pytest.approx(its, rel=1e-9)
        for name, value in _weights(one).items():
            torch.testing.assert_close(_weights(other)[name], value, rtol=1e-6, atol=1e-9)


def test_a_member_is_what_it_is_alone_bit_for_bit(space):  # noqa: F811
    members = [(PLAIN, {"seed": seed}) for seed in range(34)]  # more than one group
    together = _step_together(_graph_stack(space, MODELS["linear_relu"], *members))
    for number in (0, 31, 33):
        (alone,) = _step_together(_graph_stack(space, MODELS["linear_relu"], members[number]))
        assert _figures(alone) == _figures(together[number])
        for name, value in _weights(alone).items():
            assert torch.equal(_weights(together[number])[name], value)


def test_a_member_that_is_not_trained_stays_what_it_is(space):  # noqa: F811
    stopping = EarlyStoppingConfig("val_accuracy", 1, 0.0, False)
    members = [(MOVING, {"seed": 2, "epochs": 9}), (MOVING, {"seed": 4, "epochs": 9, "early_stopping": stopping})]
    stack = _graph_stack(space, MODELS["linear"], *members)
    while not stack[1].finished:
        train_epoch(stack)
    weights = _weights(stack[1])
    _step_together(stack)
    assert len(stack[0].history) == 9 > len(stack[1].history)
    for name, value in _weights(stack[1]).items():
        assert torch.equal(value, weights[name])


def test_a_diverging_member_fails_alone_and_others_go_on_from_different_epochs(space):  # noqa: F811
    wild = SGDConfig("sgd", 1e200, 0.9, False, 0.0, None)
    members = [(MOVING, {"seed": 2}), (wild, {}), (MOVING, {"seed": 4})]
    whole = _step_together(_graph_stack(space, MODELS["linear"], *members))
    assert "not finite in epoch" in str(whole[1].failure)
    cut = _graph_stack(space, MODELS["linear"], *members)
    train_epoch(cut)
    train_epoch([cut[0]])
    resumed = _graph_stack(space, MODELS["linear"], members[0], members[2])
    for trainer, state in zip(resumed, (cut[0].state_dict(), cut[2].state_dict()), strict=True):
        trainer.load_state_dict(state)
    assert [len(trainer.history) for trainer in resumed] == [2, 1]
    again = _step_together(resumed)
    assert [_figures(trainer) for trainer in again] == [_figures(whole[0]), _figures(whole[2])]


def test_members_of_several_shapes_are_what_they_are_alone_bit_for_bit(space):  # noqa: F811
    members = [(MODELS[name], PLAIN, {"seed": seed}) for seed in (2, 4) for name in CHOSEN]
    together = _step_together(_mixed_stack(space, *members, kind=GraphBackend))
    for (model, optimizer, changes), trainer in zip(members, together, strict=True):
        (alone,) = _step_together(_graph_stack(space, model, (optimizer, changes)))
        assert _figures(trainer) == _figures(alone)
        for name, value in _weights(alone).items():
            assert torch.equal(_weights(trainer)[name], value), name


@pytest.mark.placement
def test_no_step_waits_for_the_gpu(images, tmp_path):  # noqa: F811
    """A GPU that other programs share answers in milliseconds, and an epoch has hundreds of steps."""
    found = []
    with one_gpu():
        space = _space(images, tmp_path, GPU)
        for batch_size in (16, 4):
            changes = {"batch_size": batch_size, "epochs": 1}
            members = [(MODELS[name], PLAIN, {"seed": seed, **changes}) for seed in (2, 4) for name in CHOSEN]
            stack = _mixed_stack(space, *members, kind=GraphBackend)
            with waits() as seen:
                train_epoch(stack)
                train_epoch([stack[0], stack[2], stack[5]])
            found.append(len(seen))
    assert found[0] == found[1] > 0
