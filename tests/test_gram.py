"""Gram space against plain float64 SGD on pixels, and its matrix against whole numbers."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch

from cxr_runner.base.errors import RunFailedError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.schema import EarlyStoppingConfig, LinearConfig, LinearReLUConfig, ScheduleConfig, SGDConfig
from cxr_runner.data.dataset import Dataset
from cxr_runner.data.sources import About
from cxr_runner.models.build import build_model, rectified_layers
from cxr_runner.training.diagnosis import diagnose
from cxr_runner.training.engines import build_gram_backend
from cxr_runner.training.gram import exact, fetching
from cxr_runner.training.gram import layer as gram_layer
from cxr_runner.training.gram import matrix as gram_module
from cxr_runner.training.gram.graph_steps import GraphBackend
from cxr_runner.training.gram.matrix import gram_matrix, open_gram_matrix
from cxr_runner.training.gram.mixed import MixedBackend
from cxr_runner.training.gram.products import StoreProducts
from cxr_runner.training.gram.space import GramSpace
from cxr_runner.training.gram.steps import GramBackend
from cxr_runner.training.loop import Trainer, train_epoch
from test_native_kernels import needs_compiler
from test_train import SIDE, _run, _settings, _subsets, _weights, plain_training

CPU = torch.device("cpu")
MODELS = {
    "linear, one layer": LinearConfig("linear", 1, 5),
    "linear": LinearConfig("linear", 2, 5),
    "linear, four layers": LinearConfig("linear", 4, 6),
    "linear_relu": LinearReLUConfig("linear_relu", 2, 10, True),
    "linear_relu, three layers": LinearReLUConfig("linear_relu", 3, 20, False),
}


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, SIDE, SIDE), dtype=np.uint8)
    images[:30, :4] //= 2
    return images


@pytest.fixture(scope="module")
def space(images, tmp_path_factory):
    return _space(images, tmp_path_factory.mktemp("store"), CPU)


def _space(images, store, device):
    train, val = _subsets()
    split = pd.Series("test", index=torch.randperm(60, generator=torch.Generator().manual_seed(0)).tolist())
    split[train.rows.tolist()], split[val.rows.tolist()] = "train", "val"
    table = pd.DataFrame({"name": "", "label": 0, "split": split})
    nothing = pd.DataFrame()
    about = About("made up", "", "", True)
    dataset = Dataset(images, table, ("NORMAL", "PNEUMONIA"), about, nothing, nothing, store, "0123456789abcdef")
    return GramSpace(StoreProducts(images, store, device, Reporter()), dataset)


KERNELS = pytest.mark.parametrize("native", [False, pytest.param(True, marks=needs_compiler)], ids=["torch", "native"])


def _gram_stack(space, model, *members, kind=GramBackend, native=False):
    """Make the trainers of one stack, of (optimizer, changes of the settings) each."""
    return _mixed_stack(space, *((model, *member) for member in members), kind=kind, native=native)


def _mixed_stack(space, *members, kind=GramBackend, native=False):
    """Make the trainers of one stack, of (model, optimizer, changes of the settings) each."""
    settings = [_settings(lr=optimizer.lr, **changes) for _, optimizer, changes in members]
    models = [build_model(model, SIDE, each.seed) for (model, _, _), each in zip(members, settings, strict=True)]
    optimizers, weights = [optimizer for _, optimizer, _ in members], [each.pos_weight for each in settings]
    backend = build_gram_backend(kind, space, models, optimizers, weights, native=native)
    return [Trainer(backend, *_subsets(), each, member) for member, each in enumerate(settings)]


def _gram_trainer(space, model, optimizer, native=False, **changes):
    return _gram_stack(space, model, (optimizer, changes), native=native)[0]


def _first_weight(trainer):
    """Return the first layer of a member, before it is rounded to float32."""
    backend, member = trainer.backend, trainer.member
    if isinstance(backend, MixedBackend):
        number, member = backend.places[member]
        backend = backend.backends[number]
    return backend.space.materialise(backend.first_layers([member]))[0]


@KERNELS
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
@pytest.mark.parametrize(
    ("momentum", "nesterov", "weight_decay", "pos_weight"),
    [(0.0, False, 0.0, None), (0.9, False, 0.0, 0.37), (0.9, True, 0.01, None), (0.0, False, 0.1, 2.0)],
)
def test_gram_space_is_plain_sgd_to_ten_digits(
    images, space, model, momentum, nesterov, weight_decay, pos_weight, native
):
    optimizer = SGDConfig("sgd", 0.05, momentum, nesterov, weight_decay, None)
    trainer = _run(_gram_trainer(space, model, optimizer, native, pos_weight=pos_weight, epochs=5))
    plain, losses = plain_training(images, model, trainer.settings, momentum, nesterov, weight_decay)
    assert losses[0] != pytest.approx(losses[-1], rel=1e-3), "a model that does not learn would pass vacuously"
    assert [epoch.train_loss for epoch in trainer.history] == pytest.approx(losses, rel=1e-10)
    expected = plain.state_dict()["layer_stack.1.weight"]
    assert (_first_weight(trainer) - expected).abs().max() < 1e-10 * expected.abs().max()
    pixels = torch.from_numpy(images).double().unsqueeze(1) / 255
    everything = torch.arange(60)
    logits = trainer.backend.logits([0], everything, 7)[0]
    torch.testing.assert_close(logits, plain(pixels).detach(), rtol=1e-10, atol=1e-12)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(_weights(trainer)[name], value.float(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("images_ahead", [1, 8, 16, 24])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_how_far_it_looks_ahead_makes_no_difference_but_for_rounding(space, monkeypatch, images_ahead, momentum):
    optimizer = SGDConfig("sgd", 0.05, momentum, False, momentum / 10, None)
    far = _run(_gram_trainer(space, MODELS["linear_relu"], optimizer))
    for module in (gram_layer, fetching):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", images_ahead)
    near = _run(_gram_trainer(space, MODELS["linear_relu"], optimizer))
    for one, other in zip(far.history, near.history, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-12)
    expected = _first_weight(far)
    assert (_first_weight(near) - expected).abs().max() < 1e-12 * expected.abs().max()


def test_schedules_reach_gram_space_too(space):
    schedule = ScheduleConfig("cosine", 1, 10, 0.1)
    optimizer = SGDConfig("sgd", 0.05, 0.9, False, 0.0, None)
    scheduled = _run(_gram_trainer(space, MODELS["linear"], optimizer, schedule=schedule))
    constant = _run(_gram_trainer(space, MODELS["linear"], optimizer))
    assert scheduled.history[-1].lr < 0.05
    assert scheduled.history[-1].train_loss != pytest.approx(constant.history[-1].train_loss, rel=1e-3)


@KERNELS
def test_a_checkpoint_goes_on_bit_for_bit(space, tmp_path, native):
    optimizer = SGDConfig("sgd", 0.05, 0.9, True, 0.01, None)
    stopping = EarlyStoppingConfig("val_accuracy", None, 0.0, True)
    whole = _run(_gram_trainer(space, MODELS["linear_relu"], optimizer, native, early_stopping=stopping))
    first = _gram_trainer(space, MODELS["linear_relu"], optimizer, native, early_stopping=stopping)
    train_epoch([first])
    torch.save(first.state_dict(), tmp_path / "checkpoint.pt")
    second = _gram_trainer(space, MODELS["linear_relu"], optimizer, native, early_stopping=stopping)
    second.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    _run(second)
    assert [epoch.train_loss for epoch in second.history] == [epoch.train_loss for epoch in whole.history]
    for name, value in _weights(whole).items():
        assert torch.equal(_weights(second)[name], value)


@pytest.mark.parametrize("shape", [(1, 4, 4), (7, 5, 5), (40, 64, 64), (1100, 8, 8), (5, 130, 130)])
@pytest.mark.parametrize("way", ["_add_pairs_float32", "_add_pairs_int8"])
@pytest.mark.parametrize("content", ["random", "white", "black"])
def test_the_matrix_is_exact_in_both_ways(monkeypatch, shape, way, content):
    monkeypatch.setattr(gram_module, "pair_products", lambda *_: getattr(exact, way))
    images = np.full(shape, {"white": 255, "black": 0, "random": 0}[content], dtype=np.uint8)
    if content == "random":
        images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    flat = images.reshape(len(images), -1).astype(np.int64)
    assert (gram_matrix(images, Reporter(), CPU) == flat @ flat.T).all()


def test_the_matrix_is_built_once_and_kept(images, tmp_path, monkeypatch):
    first = np.array(open_gram_matrix(images, tmp_path, Reporter(), CPU))
    monkeypatch.setattr(gram_module, "gram_matrix", lambda *_: pytest.fail("built again"))
    assert (open_gram_matrix(images, tmp_path, Reporter(), CPU) == first).all()
    assert not list(tmp_path.glob("*.tmp*"))


@pytest.mark.parametrize("damage", ["zeros", "truncated", "another shape"])
def test_a_damaged_matrix_is_built_anew(images, tmp_path, damage):
    expected = np.array(open_gram_matrix(images, tmp_path, Reporter(), CPU))
    path = tmp_path / "gram.npy"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-8])
    else:
        np.save(path, np.zeros_like(expected) if damage == "zeros" else expected[:-1, :-1])
    assert (open_gram_matrix(images, tmp_path, Reporter(), CPU) == expected).all()


@pytest.mark.parametrize(("pixel_engine", "end"), [(True, "; engine=pixel does without"), (False, "of the images")])
def test_a_device_that_multiplies_wrongly_leaves_no_matrix(images, tmp_path, monkeypatch, pixel_engine, end):
    monkeypatch.setattr(gram_module, "pair_products", lambda *_: lambda flipped, total: total.add_(1))
    with pytest.raises(RunFailedError, match=rf"^cpu gives wrong products .*{end}$"):
        open_gram_matrix(images, tmp_path, Reporter(), CPU, pixel_engine=pixel_engine)
    assert not list(tmp_path.glob("gram.npy*"))


def _step_together(trainers):
    while unfinished := [trainer for trainer in trainers if not trainer.finished]:
        train_epoch(unfinished)
    for trainer in trainers:
        trainer.finish()
    return trainers


@pytest.fixture
def two_threads():
    """Members are stepped by two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


SGD = {lr: SGDConfig("sgd", lr, 0.0, False, 0.0, None) for lr in (0.02, 0.05)}
MOMENTUM = SGDConfig("sgd", 0.05, 0.9, False, 0.0, None)
DECAY = SGDConfig("sgd", 0.05, 0.0, False, 0.1, None)


@KERNELS
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
@pytest.mark.parametrize("optimizers", [[SGD[0.05], SGD[0.02]], [MOMENTUM, SGD[0.05], DECAY]], ids=["plain", "mixed"])
def test_a_member_of_a_stack_is_what_it_is_alone_bit_for_bit(space, model, optimizers, native):
    stopping = EarlyStoppingConfig("val_accuracy", 1, 0.0, True)
    members = [(optimizer, {"seed": seed}) for optimizer in optimizers for seed in (2, 4, 6)]
    members += [(optimizers[0], {"pos_weight": 0.37}), (optimizers[1], {"early_stopping": stopping, "epochs": 9})]
    together = _step_together(_gram_stack(space, model, *members, native=native))
    turned = _step_together(_gram_stack(space, model, *members[::-1], native=native))[::-1]
    assert len({trainer.history[-1].val_loss for trainer in together}) > len(together) // 2
    for member, one, other in zip(members, together, turned, strict=True):
        (alone,) = _step_together(_gram_stack(space, model, member, native=native))
        for trainer in (one, other):
            assert _figures(trainer) == _figures(alone)
            assert _weights(trainer).keys() == _weights(alone).keys()
            for name, value in _weights(alone).items():
                assert torch.equal(_weights(trainer)[name], value), name


@KERNELS
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("optimizers", [[SGD[0.05], SGD[0.02]], [MOMENTUM, SGD[0.05], DECAY]], ids=["plain", "mixed"])
def test_members_of_several_shapes_are_what_they_are_alone_bit_for_bit(space, optimizers, native):
    """They are fetched rows of the Gram matrix for together, where their seeds are the same."""
    members = [
        (model, optimizers[number % len(optimizers)], {"seed": seed, "pos_weight": pos_weight, "epochs": epochs})
        for number, model in enumerate(MODELS.values())
        for seed, pos_weight, epochs in ((2, None, 3), (2, 0.37, 2), (4, None, 2))
    ]
    together = _step_together(_mixed_stack(space, *members, native=native))
    assert isinstance(together[0].backend, MixedBackend)
    for (model, optimizer, changes), trainer in zip(members, together, strict=True):
        (alone,) = _step_together(_gram_stack(space, model, (optimizer, changes), native=native))
        assert _figures(trainer) == _figures(alone)
        assert trainer.state_dict()["backend"].keys() == alone.state_dict()["backend"].keys()
        for name, value in _weights(alone).items():
            assert torch.equal(_weights(trainer)[name], value), name
    (whole,) = [trainer.backend.weights(range(len(members))) for trainer in together[:1]]
    for trainer, weights in zip(together, whole, strict=True):
        assert all(torch.equal(value, weights[name]) for name, value in _weights(trainer).items())


def test_rows_are_fetched_once_for_all_that_see_the_same_images(space, monkeypatch):
    models = list(MODELS.values())[:3]
    seeds = (2, 4)
    trainers = _mixed_stack(space, *((model, SGD[0.05], {"seed": seed}) for model in models for seed in seeds))
    fetched, fetch = [], fetching.Fetching._fetch
    monkeypatch.setattr(space.fetching, "buffers", space.fetching.buffers[:1])  # one worker

    def counted(self, group, buffer):
        fetched.append(len(group))
        fetch(self, group, buffer)

    monkeypatch.setattr(fetching.Fetching, "_fetch", counted)
    train_epoch(trainers)
    assert set(fetched) == {len(models)}


def _figures(trainer):
    return [{**asdict(epoch), "seconds": 0} for epoch in trainer.history]


def test_work_that_is_interrupted_has_ended_before_anybody_goes_on(space):
    """What it writes to may be freed then."""
    done, shared = [], fetching.Fetching(space.gram)
    shared.buffers, shared.workers = [space.gram[:1]] * 2, ThreadPoolExecutor(2)

    def work(share, _):
        if share == 0:
            raise KeyboardInterrupt
        time.sleep(0.2)
        done.append(share)

    with pytest.raises(KeyboardInterrupt):
        shared.share_out(work, 2)
    assert done == [1]


@KERNELS
def test_a_diverging_member_fails_alone(space, native):
    wild = SGDConfig("sgd", 1e200, 0.9, False, 0.0, None)
    trainers = _step_together(
        _gram_stack(space, MODELS["linear"], (MOMENTUM, {}), (wild, {}), (MOMENTUM, {"seed": 4}), native=native)
    )
    assert "not finite in epoch" in str(trainers[1].failure)
    for trainer, seed in ((trainers[0], 2), (trainers[2], 4)):
        (alone,) = _step_together(_gram_stack(space, MODELS["linear"], (MOMENTUM, {"seed": seed}), native=native))
        assert _figures(trainer) == _figures(alone)


@KERNELS
def test_members_of_a_stack_go_on_from_different_epochs(space, native):
    members = [(MOMENTUM, {"seed": seed}) for seed in (2, 4)]
    whole = _step_together(_gram_stack(space, MODELS["linear_relu"], *members, native=native))
    cut = _gram_stack(space, MODELS["linear_relu"], *members, native=native)
    train_epoch(cut)
    train_epoch(cut[1:])
    states = [trainer.state_dict() for trainer in cut]
    resumed = _gram_stack(space, MODELS["linear_relu"], *members, native=native)
    for trainer, state in zip(resumed, states, strict=True):
        trainer.load_state_dict(state)
    assert [len(trainer.history) for trainer in resumed] == [1, 2]
    assert list(map(_figures, _step_together(resumed))) == list(map(_figures, whole))


@pytest.mark.parametrize("powers", [1, 24], ids=["of one grid", "small ones with finer bits"])
def test_starts_are_exact_whatever_they_are_computed_with(space, images, powers):
    layers = [build_model(LinearConfig("linear", 2, hidden), SIDE, seed) for seed in (0, 1) for hidden in (5, 9)]
    smaller = 0.5 ** torch.arange(SIDE**2).remainder(powers)
    weights = [layer.layer_stack[1].weight.detach() * smaller for layer in layers]
    assert torch.equal(weights[0], weights[1][:5]), "layers of one seed share their first rows"
    space.products._starts.clear()
    space.products.prepare_starts(weights)
    together = [space.start(weight) for weight in weights]
    rows = images[space.rows].reshape(60, -1)
    for weight, start in zip(weights, together, strict=True):
        space.products._starts.clear()
        assert torch.equal(space.start(weight), start), "as read from beside the store"
        exact = [
            [sum(Fraction(int(p)) * Fraction(float(w)) for p, w in zip(row, out, strict=True)) for out in weight]
            for row in rows
        ]
        assert start.tolist() == [[float(value) / 255 for value in row] for row in exact]


def test_a_damaged_start_is_computed_anew(space):
    weight = build_model(MODELS["linear"], SIDE, 0).layer_stack[1].weight.detach()
    expected = space.start(weight)
    for path in (space.products.store / "starts").iterdir():
        path.write_bytes(b"damaged")
    space.products._starts.clear()
    assert torch.equal(space.start(weight), expected)


def test_a_dead_member_is_not_computed_any_more_and_stays_what_it_is(space, monkeypatch):
    model = MODELS["linear_relu"]
    members = [(SGD[0.05], {"seed": seed, "epochs": 6}) for seed in (5, 2)]  # 5 is dead from the start
    shortened = _gram_stack(space, model, *members)
    computed = []
    step = shortened[0].backend._step
    monkeypatch.setattr(shortened[0].backend, "_step", lambda *given: (computed.append(given[0]), step(*given))[1])
    _step_together(shortened)
    steps = shortened[0].num_batches
    assert [len(given) for given in computed] == [2] * 2 * steps + [1] * 4 * steps
    monkeypatch.setattr(GramBackend, "_is_dead", lambda *_: False)
    whole = _step_together(_gram_stack(space, model, *members))
    for one, other in zip(shortened, whole, strict=True):
        assert _figures(one) == _figures(other)
        for name, value in _weights(one).items():
            assert torch.equal(value, _weights(other)[name])
    assert shortened[0].history[-1].train_loss == pytest.approx(math.log(2))
    assert shortened[1].history[-1].train_loss < shortened[1].history[0].train_loss


@pytest.mark.parametrize("at_once", [2**24, 700])
@pytest.mark.parametrize(
    ("kind", "native"),
    [(GramBackend, False), pytest.param(GramBackend, True, marks=needs_compiler), (GraphBackend, False)],
)
def test_a_diagnosis_looks_at_no_pixel_and_is_that_of_the_pixels(images, space, kind, native, at_once, monkeypatch):
    monkeypatch.setattr("cxr_runner.training.gram.member_diagnosis._NUMBERS_AT_ONCE", at_once)
    monkeypatch.setattr("cxr_runner.training.gram.graph_steps.recorded", lambda work, device: work)
    optimizer, configs = SGDConfig("sgd", 0.05, 0.0, False, 0.0, None), [*MODELS.values()]
    changes = {"pos_weight": 0.37, "epochs": 3}
    stack = _mixed_stack(space, *((config, optimizer, changes) for config in configs), kind=kind, native=native)
    _kill_a_unit(stack[-1])
    chosen, labels = stack[0].train.rows[:13], stack[0].train.labels[:13]  # fewer bytes each than a line of the cache
    for _ in range(2):
        found = stack[0].backend.diagnose(range(len(stack)), chosen, labels, 8)
        for number, (config, trainer) in enumerate(zip(configs, stack, strict=True)):
            model = build_model(config, SIDE, trainer.settings.seed).double()
            model.load_state_dict(trainer.backend.weights([number])[0])
            given = (
                torch.from_numpy(images[chosen])[:, None].double() / 255,
                labels.double(),
                torch.tensor(0.37).double(),
            )
            plain = diagnose(model, rectified_layers(model), *given, 13)
            assert found[number]["dead_units"] == plain["dead_units"]
            assert list(found[number]["gradient_norms"]) == [name for name, _ in model.named_parameters()]
            assert found[number]["gradient_norms"] == pytest.approx(plain["gradient_norms"], rel=1e-5)
            assert trainer.backend.diagnose([number], chosen, labels, 8) == [found[number]], "as alone"
        assert any(share for one in found for share in one["dead_units"].values())
        while not stack[0].finished:
            train_epoch(stack)


def _kill_a_unit(trainer):
    """Give the first unit of a member a bias that no image of these makes up for."""
    number, own = trainer.backend.places[trainer.member]
    trainer.backend.backends[number].rest[own, 0] = -1000


def test_a_diagnosis_of_what_is_not_finite_says_so(space):
    trainer = _gram_trainer(space, MODELS["linear"], SGDConfig("sgd", 0.05, 0.0, False, 0.0, None))
    trainer.backend.rest[0] = math.nan
    (found,) = trainer.backend.diagnose([0], trainer.train.rows[:9], trainer.train.labels[:9], 8)
    assert set(found["gradient_norms"].values()) == {None}
