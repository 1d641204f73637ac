"""What the benchmarks work on, and the plain way to train on it: the study's notebook, as it is usually written."""

import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from hydra import compose, initialize_config_module
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.measuring import Options, Work
from cxr_runner.base.progress import Reporter
from cxr_runner.config.schema import CNNConfig, ResNet18Config, RunConfig
from cxr_runner.config.validation import from_hydra
from cxr_runner.data.dataset import Dataset, open_dataset
from cxr_runner.data.sources import About
from cxr_runner.training.optimizers import build_optimizer

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


def noise(num_images: int, side: int, folder: Path) -> Dataset:
    """Return a data set of noise, split 70/20/10; what is derived from it is kept in the folder."""
    generator = np.random.default_rng(side)
    pixels = np.frombuffer(generator.bytes(num_images * side**2), np.uint8).reshape(num_images, side, side)
    bounds = math.ceil(0.7 * num_images), math.ceil(0.9 * num_images)
    splits = np.repeat(["train", "val", "test"], np.diff([0, *bounds, num_images]))
    names = [f"{number}" for number in range(num_images)]
    table = pd.DataFrame({"name": names, "label": generator.integers(0, 2, num_images), "split": splits})
    (store := folder / f"noise-{side}").mkdir(parents=True, exist_ok=True)
    about, none = About("noise", "", "", True), pd.DataFrame()
    return Dataset(pixels.copy(), table, ("NORMAL", "PNEUMONIA"), about, none, none, store, f"{side:016}")


def plain_model(config: RunConfig, size: int) -> nn.Module:
    """Build a model as a notebook does, for images of a size: the study's layers in their plain order."""
    model = config.model
    if isinstance(model, ResNet18Config):
        from torchvision.models import resnet18

        network = resnet18(num_classes=1)
        network.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        return network
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
    model = plain_model(config, config.data.image_size).to(device)
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


def eager_way(overrides: tuple[str, ...], dataset: Dataset, num_steps: int, device: str) -> Work:
    """Prepare plain PyTorch as one writes it for a GPU: uint8 images there, eager float32 steps or autocast.

    PyTorch's own settings, so not deterministic; but float32 is float32, TF32 is off.

    Args:
        overrides: of the run.
        dataset: the images.
        num_steps: a turn.
        device: where to compute.
    """
    config = compose_run(*overrides)
    torch.set_deterministic_debug_mode("default")
    torch.backends.cudnn.deterministic = torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    images = torch.from_numpy(dataset.images).to(device)
    labels = torch.tensor(dataset.table["label"].to_numpy()).float().to(device)
    model = plain_model(config, images.shape[1]).to(device)
    optimizer, loss_function = build_optimizer(config.optimizer, model), nn.BCEWithLogitsLoss()
    autocast = torch.autocast(device, torch.bfloat16, enabled=config.precision == "bf16")

    def steps() -> float:
        for _ in range(num_steps):
            rows = torch.randint(len(images), (config.batch_size,), device=device)
            optimizer.zero_grad(set_to_none=True)
            with autocast:
                logits = model(images[rows].unsqueeze(1).float() / 255).squeeze(1)
            loss_function(logits.float(), labels[rows]).backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return num_steps

    return steps
