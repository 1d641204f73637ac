"""What the benchmarks work on, and the plain way to train on it: the study's notebook, as it is usually written."""

import os
from pathlib import Path

import torch
from hydra import compose, initialize_config_module
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.measuring import Options, Work
from cxr_runner.config import CNNConfig, RunConfig, from_hydra
from cxr_runner.dataset import Dataset, open_dataset
from cxr_runner.progress import Reporter

REAL = Path(os.environ.get("CXR_DATA", Path(__file__).parents[3] / "shared" / "data" / "kermany-224"))
QUICK = ("data=phantom", "data.num_images=60", "data.image_size=32")


def data_overrides(options: Options) -> tuple[str, ...]:
    """Return the keys that choose the data: the real X-rays where they are, else synthetic phantom data, at 640."""
    if options.quick:
        return QUICK
    size = "data.image_size=640"
    return ("data=folder", f"data.root={REAL}", size) if REAL.is_dir() else ("data=phantom", size)


def compose_run(*overrides: str) -> RunConfig:
    """Return the configuration of a run as the command would read it."""
    with initialize_config_module("cxr_runner.conf", version_base="1.3"):
        return from_hydra(compose("config", [*overrides]))


def open_data(config: RunConfig) -> Dataset:
    """Open the data of a run, building its store where it is missing."""
    return open_dataset(config.data, Reporter())


def describe_data(dataset: Dataset) -> str:
    """Say in one line what was worked on; synthetic data says so in its title."""
    side = dataset.images.shape[1]
    return f"{dataset.about.title}, {len(dataset.table):,} images of {side}x{side}"


def plain_model(config: RunConfig) -> nn.Module:
    """Build a model as a notebook does: the study's layers in their plain order."""
    model, size = config.model, config.data.image_size
    if isinstance(model, CNNConfig):
        width, kernel = model.hidden, model.kernel_size
        layers: list[nn.Module] = []
        for inputs in (1, width):
            layers += [nn.Conv2d(inputs, width, kernel, padding=kernel // 2), nn.ReLU()]
            layers += [nn.Conv2d(width, width, kernel, padding=kernel // 2), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * (size // 4) ** 2, 1))
    assert model.name == "linear"
    return nn.Sequential(nn.Flatten(), nn.Linear(size**2, model.hidden), nn.Linear(model.hidden, 1))


def float_batches(config: RunConfig, num_steps: int) -> DataLoader[tuple[Tensor, ...]]:
    """Return a loader over float32 images in memory, as many as so many steps need."""
    dataset = open_data(config)
    rows = torch.tensor(dataset.rows("train"))[: num_steps * config.batch_size]
    images = torch.from_numpy(dataset.images).index_select(0, rows).unsqueeze(1).float() / 255
    labels = torch.tensor(dataset.labels("train"))[: len(rows)].float()
    return DataLoader(TensorDataset(images, labels), batch_size=config.batch_size, shuffle=True)


def notebook_way(overrides: tuple[str, ...], num_steps: int, device: str, compiled: bool = False) -> Work:
    """Prepare the plain way: a DataLoader over float32 tensors, and metrics read with ``.item()`` every batch.

    Args:
        overrides: of the run.
        num_steps: a turn.
        device: where to compute.
        compiled: whether the model goes through ``torch.compile``.
    """
    config = compose_run(*overrides)
    loader = float_batches(config, num_steps)
    model = plain_model(config).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=config.optimizer.lr)
    loss_function = nn.BCEWithLogitsLoss()
    forward = torch.compile(model) if compiled else model

    def epoch() -> float:
        steps, total_loss, total_accuracy = 0, 0.0, 0.0
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            logits = forward(images).squeeze(1)
            loss = loss_function(logits, labels)
            total_loss += loss.item()
            total_accuracy += (torch.round(torch.sigmoid(logits)) == labels).float().mean().item()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
        return steps

    return epoch
