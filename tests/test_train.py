"""The training loop and the pixel backend against plain arithmetic and plain PyTorch."""

import math
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cxr_runner.base.errors import RunFailedError
from cxr_runner.config.schema import (
    AdamConfig,
    AugmentConfig,
    CNNConfig,
    EarlyStoppingConfig,
    LinearConfig,
    LinearReLUConfig,
    ScheduleConfig,
    SGDConfig,
)
from cxr_runner.models.build import build_model
from cxr_runner.training.augment import Augment
from cxr_runner.training.loop import Subset, Trainer, TrainSettings, batch_order, bce_loss, learning_rate, train_epoch
from cxr_runner.training.pixel import PixelBackend, PixelFeed

SIDE = 8
CONSTANT = ScheduleConfig("constant", 0, 10, 0.1)
NEVER_STOP = EarlyStoppingConfig("val_loss", None, 0.0, False)
LINEAR = LinearConfig("linear", 2, 5)
PLAIN_SGD = SGDConfig("sgd", 0.05, 0.0, False, 0.0, None)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, SIDE, SIDE), dtype=np.uint8)
    images[:30, :4] //= 2  # something to learn: class 0 is darker above
    return images


def _settings(**changes):
    defaults = {
        "epochs": 3,
        "batch_size": 8,
        "seed": 2,  # of live members: at 5 every output of the ReLU model is 0 for ever
        "lr": 0.05,
        "schedule": CONSTANT,
        "early_stopping": NEVER_STOP,
        "pos_weight": None,
    }
    return TrainSettings(**(defaults | changes))


def _subsets():
    labels = torch.tensor([0.0] * 30 + [1.0] * 30)
    train = torch.tensor([*range(22), *range(30, 51)])  # 43 images: a short last batch
    val = torch.tensor([*range(22, 30), *range(51, 60)])
    return Subset(train, labels[train]), Subset(val, labels[val])


def _trainer(images, model=LINEAR, optimizer=PLAIN_SGD, augment=None, **changes):
    settings = _settings(**changes)
    module = build_model(model, SIDE, settings.seed)
    feed = PixelFeed(images, torch.device("cpu"))
    backend = PixelBackend(module, feed, optimizer, settings.pos_weight, "float32", augment)
    return Trainer(backend, *_subsets(), settings)


def _run(trainer):
    while not trainer.finished:
        train_epoch([trainer])
    if trainer.failure:
        raise trainer.failure
    trainer.finish()
    return trainer


def _weights(trainer):
    return trainer.backend.weights([trainer.member])[0]


def plain_training(images, model, settings, momentum, nesterov, weight_decay):
    """Ordinary float64 SGD, written out: gradients by autograd, updates by hand."""
    module = build_model(model, SIDE, settings.seed).double()
    train, _ = _subsets()
    pixels = torch.from_numpy(images).double().unsqueeze(1) / 255
    weight = None if settings.pos_weight is None else torch.tensor(settings.pos_weight, dtype=torch.float64)
    loss_function = nn.BCEWithLogitsLoss(pos_weight=weight)
    velocity = [torch.zeros_like(parameter) for parameter in module.parameters()]
    losses = []
    for epoch in range(1, settings.epochs + 1):
        total = 0.0
        for chosen in torch.split(batch_order(settings.seed, epoch, len(train.rows)), settings.batch_size):
            loss = loss_function(module(pixels[train.rows[chosen]]), train.labels[chosen].double())
            gradients = torch.autograd.grad(loss, list(module.parameters()))
            total += loss.item() * len(chosen)
            with torch.no_grad():
                for parameter, gradient, speed in zip(module.parameters(), gradients, velocity, strict=True):
                    slope = gradient + weight_decay * parameter
                    speed.mul_(momentum).add_(slope)
                    parameter -= settings.lr * (slope + momentum * speed if nesterov else speed)
        losses.append(total / len(train.rows))
    return module, losses


@pytest.mark.parametrize(
    "model",
    [LINEAR, LinearReLUConfig("linear_relu", 2, 10, True), CNNConfig("cnn", 3, 3)],
    ids=["linear", "linear_relu", "cnn"],
)
@pytest.mark.parametrize(
    ("momentum", "nesterov", "weight_decay", "pos_weight"),
    [(0.0, False, 0.0, None), (0.9, False, 0.0, 0.37), (0.9, True, 0.01, None)],
)
def test_training_equals_plain_float64_sgd(images, model, momentum, nesterov, weight_decay, pos_weight):
    optimizer = SGDConfig("sgd", 0.05, momentum, nesterov, weight_decay, None)
    trainer = _run(_trainer(images, model, optimizer, pos_weight=pos_weight))
    plain, losses = plain_training(images, model, trainer.settings, momentum, nesterov, weight_decay)
    assert losses[0] != pytest.approx(losses[-1], rel=1e-3), "a model that does not learn would pass vacuously"
    assert [epoch.train_loss for epoch in trainer.history] == pytest.approx(losses, rel=1e-5)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(_weights(trainer)[name].double(), value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_is_torch_adam(images, name):
    trainer = _run(_trainer(images, optimizer=AdamConfig(name, 1e-2, 0.1, None), lr=1e-2))
    module = build_model(LINEAR, SIDE, 2)
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    optimizer = kind(module.parameters(), lr=1e-2, weight_decay=0.1)
    train, _ = _subsets()
    pixels = torch.from_numpy(images).float().unsqueeze(1) / 255
    for epoch in (1, 2, 3):
        for chosen in torch.split(batch_order(2, epoch, len(train.rows)), 8):
            optimizer.zero_grad()
            nn.BCEWithLogitsLoss()(module(pixels[train.rows[chosen]]), train.labels[chosen]).backward()
            optimizer.step()
    for key, value in module.state_dict().items():
        torch.testing.assert_close(_weights(trainer)[key], value, rtol=1e-4, atol=1e-6)


def test_history_holds_means_over_images_not_over_batches(images):
    trainer = _trainer(images, lr=1e-12, optimizer=SGDConfig("sgd", 1e-12, 0.0, False, 0.0, None))
    train_epoch([trainer])  # with no learning to speak of, the order of the batches cannot matter
    (epoch,) = trainer.history
    logits = trainer.backend.logits([0], trainer.train.rows, 64)[0]
    assert epoch.train_loss == pytest.approx(bce_loss(logits, trainer.train.labels, None), rel=1e-5)
    right = ((logits > 0).float() == trainer.train.labels).double().mean().item()
    assert epoch.train_accuracy == pytest.approx(right)
    val_logits = trainer.backend.logits([0], trainer.val.rows, 3)[0]
    assert epoch.val_accuracy == pytest.approx(((val_logits > 0).float() == trainer.val.labels).double().mean().item())


def test_training_sees_every_training_image_once_an_epoch_and_no_other(images, monkeypatch):
    trainer = _trainer(images)
    seen = []
    step = trainer.backend.step
    monkeypatch.setattr(
        trainer.backend, "step", lambda _, rows, *rest: (seen.extend(rows[0].tolist()), step(_, rows, *rest))[1]
    )
    train_epoch([trainer])
    assert sorted(seen) == trainer.train.rows.tolist()
    first = list(seen)
    train_epoch([trainer])
    assert sorted(seen[43:]) == trainer.train.rows.tolist()
    assert seen[43:] != first


def test_batch_order_depends_on_seed_and_epoch():
    orders = [batch_order(seed, epoch, 100).tolist() for seed in (0, 1) for epoch in (1, 2)]
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4


def test_a_checkpoint_goes_on_bit_for_bit(images, tmp_path):
    stopping = EarlyStoppingConfig("val_accuracy", None, 0.0, True)
    changes = {"optimizer": AdamConfig("adam", 1e-2, 0.0, 1.0), "lr": 1e-2, "epochs": 4, "early_stopping": stopping}
    whole = _run(_trainer(images, augment=Augment(_augment(flip=0.5)), **changes))
    first = _trainer(images, augment=Augment(_augment(flip=0.5)), **changes)
    train_epoch([first])
    train_epoch([first])
    torch.save(first.state_dict(), tmp_path / "checkpoint.pt")
    second = _trainer(images, augment=Augment(_augment(flip=0.5)), **changes)
    second.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    _run(second)
    assert [(e.train_loss, e.val_loss) for e in second.history] == [(e.train_loss, e.val_loss) for e in whole.history]
    for key, value in _weights(whole).items():
        assert torch.equal(_weights(second)[key], value)


def test_a_state_is_untouched_by_what_comes_next(images):
    trainer = _trainer(images, optimizer=AdamConfig("adam", 0.01, 0.0, None))
    train_epoch([trainer])
    state = trainer.state_dict()
    before = _saved(state)
    train_epoch([trainer])
    assert _saved(state) == before
    assert _saved(trainer.state_dict()) != before


def _saved(state):
    content = BytesIO()
    torch.save(state, content)
    return content.getvalue()


def test_early_stopping_waits_as_long_as_asked_and_restores_the_best(images, monkeypatch):
    scores = iter([0.5, 0.7, 0.6, 0.7, 0.69, 0.9])
    monkeypatch.setattr(Trainer, "_score", lambda *_: next(scores))
    stopping = EarlyStoppingConfig("val_accuracy", 3, 0.0, True)
    trainer = _trainer(images, epochs=6, early_stopping=stopping)
    weights = []
    while not trainer.finished:
        train_epoch([trainer])
        weights.append(_weights(trainer))
    assert (len(trainer.history), trainer.best.epoch, trainer.stopped_early) == (5, 2, True)
    trainer.finish()
    restored = _weights(trainer)
    assert all(torch.equal(restored[key], weights[1][key]) for key in restored)
    assert any(not torch.equal(restored[key], weights[-1][key]) for key in restored)


@pytest.mark.parametrize("metric", ["val_loss", "val_accuracy", "val_f1", "val_auroc"])
def test_the_best_epoch_is_the_best_by_its_metric(images, metric):
    trainer = _run(_trainer(images, epochs=6, lr=0.3, early_stopping=EarlyStoppingConfig(metric, None, 0.0, False)))
    if metric == "val_loss":
        best = min(trainer.history, key=lambda epoch: epoch.val_loss)
        assert trainer.best.epoch == best.epoch
    if metric == "val_accuracy":
        assert trainer.best.score == max(epoch.val_accuracy for epoch in trainer.history)
    assert 1 <= trainer.best.epoch <= 6


@pytest.mark.parametrize("optimizer", [PLAIN_SGD, SGDConfig("sgd", 1e30, 0.0, False, 0.0, None)])
def test_a_loss_that_is_not_finite_ends_the_run_with_the_epoch_and_a_hint(images, optimizer):
    broken = _trainer(images, optimizer=optimizer, lr=1e30, epochs=5)
    with pytest.raises(RunFailedError, match=r"not finite in epoch [12] .*optimizer\.lr \(now 1e\+30\)"):
        _run(broken)
    assert len(broken.history) <= 1


def _lr_curve(schedule, epochs=6, num_batches=4, lr=0.1):
    settings = _settings(lr=lr, schedule=schedule, epochs=epochs)
    return [learning_rate(settings, step, num_batches) for step in range(epochs * num_batches)]


def _torch_curve(scheduler, steps, lr=0.1):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    schedule = scheduler(optimizer)
    curve = []
    for _ in range(steps):
        curve.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return curve


def test_cosine_is_torch_cosine():
    ours = _lr_curve(ScheduleConfig("cosine", 0, 10, 0.1))
    assert ours == pytest.approx(_torch_curve(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 24), 24))


def test_step_is_torch_step():
    ours = _lr_curve(ScheduleConfig("step", 0, 2, 0.5))
    assert ours == pytest.approx(_torch_curve(lambda o: torch.optim.lr_scheduler.StepLR(o, 8, 0.5), 24))


def test_warmup_rises_to_the_full_rate_and_then_the_schedule_begins():
    curve = _lr_curve(ScheduleConfig("cosine", 2, 10, 0.1))
    assert curve[:8] == pytest.approx([0.1 * (k + 1) / 8 for k in range(8)])
    assert curve[8] == 0.1
    assert curve[-1] < 0.01


def test_the_schedule_reaches_the_optimizer(images):
    trainer = _run(_trainer(images, schedule=ScheduleConfig("step", 0, 1, 0.1)))
    assert [epoch.lr for epoch in trainer.history] == pytest.approx([0.05, 0.005, 0.0005])
    constant = _run(_trainer(images))
    assert trainer.history[-1].train_loss != constant.history[-1].train_loss


def test_gradient_clipping_bounds_the_step(images):
    lr, largest = 0.05, 1e-3
    trainer = _trainer(images, optimizer=SGDConfig("sgd", lr, 0.0, False, 0.0, largest))
    before = _weights(trainer)
    trainer.backend.step([0], trainer.train.rows[None, :8], trainer.train.labels[None, :8], [lr], [(0,)])
    moved = math.sqrt(sum((value - before[key]).square().sum().item() for key, value in _weights(trainer).items()))
    assert moved == pytest.approx(lr * largest, rel=1e-3)


def test_bf16_trains_near_float32(images):
    settings = _settings()
    module = build_model(LINEAR, SIDE, settings.seed)
    backend = PixelBackend(module, PixelFeed(images, torch.device("cpu")), PLAIN_SGD, None, "bf16", None)
    trainer = _run(Trainer(backend, *_subsets(), settings))
    exact = _run(_trainer(images))
    assert trainer.history[-1].train_loss == pytest.approx(exact.history[-1].train_loss, rel=0.05)
    assert trainer.history[-1].train_loss != exact.history[-1].train_loss
    assert all(value.dtype == torch.float32 for value in _weights(trainer).values())


def _augment(**changes):
    off = {"flip": 0.0, "degrees": 0.0, "translate": 0.0, "scale": 0.0, "brightness": 0.0, "contrast": 0.0}
    return AugmentConfig(**(off | changes))


def test_every_image_of_a_batch_is_changed_by_its_own_draw():
    images = torch.rand(40, 1, SIDE, SIDE)
    changed = Augment(_augment(flip=0.5))(images, seed=1)
    flipped = [torch.equal(new, old.flip(-1)) for new, old in zip(changed, images, strict=True)]
    kept = [torch.equal(new, old) for new, old in zip(changed, images, strict=True)]
    assert all(a != b for a, b in zip(flipped, kept, strict=True))
    assert 5 < sum(flipped) < 35


@pytest.mark.parametrize("change", ["flip", "degrees", "translate", "scale", "brightness", "contrast"])
def test_each_augmentation_does_something_and_the_seed_repeats_it(change):
    images = torch.rand(8, 1, 16, 16)
    augment = Augment(_augment(**{change: 0.5 if change != "degrees" else 20.0}))
    before = torch.random.get_rng_state()
    changed = augment(images, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert changed.shape == images.shape
    assert not torch.equal(changed, images)
    assert torch.equal(changed, augment(images, seed=1))
    assert not torch.equal(changed, augment(images, seed=2))


def test_pixels_are_scaled_to_0_and_1():
    images = np.array([[[0, 255], [51, 102]]], dtype=np.uint8)
    batch = PixelFeed(images, torch.device("cpu")).batch(torch.tensor([0]))
    assert batch.shape == (1, 1, 2, 2)
    assert batch.flatten().tolist() == pytest.approx([0.0, 1.0, 0.2, 0.4])


def test_a_cnn_computed_few_images_at_a_time_is_the_same_but_for_rounding(images):
    cnn = CNNConfig("cnn", 3, 3)
    whole, pieces = _trainer(images, cnn, epochs=2), _trainer(images, cnn, epochs=2)
    pieces.backend.images_at_once = 3
    _run(whole), _run(pieces)
    for ours, theirs in zip(pieces.history, whole.history, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-5)
        assert ours.val_loss == pytest.approx(theirs.val_loss, rel=1e-5)
    assert pieces.history[0].train_loss != pieces.history[1].train_loss
    for name, value in _weights(whole).items():
        torch.testing.assert_close(_weights(pieces)[name], value, rtol=1e-4, atol=1e-6)


def test_a_batch_that_does_not_fit_is_computed_in_pieces(images):
    whole = _run(_trainer(images, epochs=1))
    trainer = _trainer(images, epochs=1)
    forward = trainer.backend.model.forward

    def small_memory(batch):
        if len(batch) > 2:
            raise torch.OutOfMemoryError
        return forward(batch)

    trainer.backend.model.forward = small_memory
    with pytest.warns(UserWarning, match="4 images at a time"), pytest.warns(UserWarning, match="2 images at a time"):
        trainer.backend.step([0], trainer.train.rows[None, :8], trainer.train.labels[None, :8], [0.0], [(0,)])
    train_epoch([trainer])
    assert trainer.history[0].train_loss == pytest.approx(whole.history[0].train_loss, rel=1e-6)
    for name, value in _weights(whole).items():
        torch.testing.assert_close(_weights(trainer)[name], value, rtol=1e-5, atol=1e-7)


def test_memory_that_never_suffices_is_an_error(images):
    trainer = _trainer(images, epochs=1)

    def no_memory(batch):
        raise torch.OutOfMemoryError

    trainer.backend.model.forward = no_memory
    with pytest.warns(UserWarning, match="at a time"), pytest.raises(torch.OutOfMemoryError):
        train_epoch([trainer])


MEMORY = """
import re
from pathlib import Path
import cxr_runner
cxr_runner.run(["model=cnn", "data.num_images={num_images}", "data.image_size=160", "batch_size=16", "epochs=1"])
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_epoch_of_many_steps_takes_no_more_memory_than_one_of_few(tmp_path: Path) -> None:
    environment = {**os.environ, "CXR_CACHE": str(tmp_path), "OMP_NUM_THREADS": "2"}
    peaks = []
    for num_images in (60, 360):  # 3 and 16 steps, whose activations take 16 MB a layer
        script = MEMORY.format(num_images=num_images)
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] < peaks[0] + 80_000, "kilobytes"
