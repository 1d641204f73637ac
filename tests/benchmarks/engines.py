"""The engines of this program as contestants."""

from dataclasses import replace

import torch

from benchmarks.measuring import Work
from benchmarks.workloads import compose_run, open_data
from cxr_runner.base.progress import Reporter
from cxr_runner.data.dataset import Dataset
from cxr_runner.models.build import build_model
from cxr_runner.models.linear import first_weight
from cxr_runner.training.devices import keep_freed_memory, set_determinism
from cxr_runner.training.engines import build_backend
from cxr_runner.training.gram.products import StoreProducts
from cxr_runner.training.gram.space import GramSpace
from cxr_runner.training.kernels import choose_kernels
from cxr_runner.training.loop import Subset, Trainer, TrainSettings, train_epoch


def engine_way(
    overrides: tuple[str, ...],
    num_steps: int | None,
    device: str,
    num_members: int = 1,
    dataset: Dataset | None = None,
    of_one_seed: bool = False,
) -> Work:
    """Prepare an engine of this program, as ``engine=`` in the overrides names it.

    Args:
        overrides: of the run.
        num_steps: a turn; None trains whole epochs.
        device: where to compute.
        num_members: of the stack; a unit is then a step of one member.
        dataset: the images; None for those that the overrides name.
        of_one_seed: whether the members see the same images in the same order.
    """
    keep_freed_memory()
    config = compose_run(*overrides)
    set_determinism(config.deterministic)
    dataset = dataset or open_data(config)
    configs = [replace(config, seed=0 if of_one_seed else seed) for seed in range(num_members)]
    models = [build_model(config.model, dataset.images.shape[1], own.seed) for own in configs]
    target, space = torch.device(device), None
    if config.engine == "gram":
        products = StoreProducts(dataset.images, dataset.store, target, Reporter())
        products.prepare_starts(map(first_weight, models))
        space = GramSpace(products, dataset)
    kernels = choose_kernels(config, config.engine, target, models, len(dataset.rows("train")))
    backend = build_backend(configs, dataset, models, [None] * num_members, target, space, kernels)
    rows, labels = torch.tensor(dataset.rows("train")), torch.tensor(dataset.labels("train")).float()
    count = len(rows) if num_steps is None else num_steps * config.batch_size
    # Evaluation is left out, as in the plain way: a step is a step.
    train, val = Subset(rows[:count], labels[:count]), Subset(rows[:2], labels[:2])
    trainers = [Trainer(backend, train, val, _settings(own), place) for place, own in enumerate(configs)]

    def epoch() -> float:
        train_epoch(trainers)
        if device == "cuda":
            torch.cuda.synchronize()
        return trainers[0].num_batches * num_members

    return epoch


def _settings(config) -> TrainSettings:
    return TrainSettings(
        epochs=10**6,
        batch_size=config.batch_size,
        seed=config.seed,
        lr=config.optimizer.lr,
        schedule=config.schedule,
        early_stopping=config.early_stopping,
        pos_weight=None,
    )
