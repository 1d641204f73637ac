"""The linear model and the CNN in a Lightning Trainer, against the notebook way and the engines."""

import logging
import warnings

import torch
from torch import nn

from benchmarks.engines import engine_way
from benchmarks.measuring import Contestant, Options, Result, Work, compare, start
from benchmarks.workloads import (
    compose_run,
    data_overrides,
    describe_data,
    float_batches,
    notebook_way,
    open_data,
    plain_model,
)


def lightning_way(overrides: tuple[str, ...], num_steps: int, device: str) -> Work:
    """Prepare a LightningModule as its documentation writes one, with loss and accuracy logged every batch."""
    from lightning import LightningModule, Trainer

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    config = compose_run(*overrides)
    loader = float_batches(config, num_steps)

    class Classifier(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.loss_function = plain_model(config, config.data.image_size), nn.BCEWithLogitsLoss()

        def training_step(self, batch, index):
            images, labels = batch
            logits = self.model(images).squeeze(1)
            loss = self.loss_function(logits, labels)
            self.log("train_loss", loss)
            self.log("train_accuracy", (torch.round(torch.sigmoid(logits)) == labels).float().mean())
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=config.optimizer.lr)

    classifier = Classifier()

    def epoch() -> float:
        trainer = Trainer(
            max_epochs=1,
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(classifier, loader)
        return len(loader)

    return epoch


def measure(options: Options) -> list[Result]:
    """Measure one training step of each model in each way."""
    data, device = data_overrides(options), options.device
    described = describe_data(open_data(compose_run(*data)))
    results = []
    for model, steps, engine in (("linear", 20, "gram"), ("cnn", 2, "pixel")):
        run = (*data, f"model={model}", "optimizer=sgd", "batch_size=32")
        num_steps = 1 if options.quick else steps
        of_engine = None if engine == "gram" else num_steps
        ways = [
            Contestant("notebook: DataLoader, float32, .item()", notebook_way, (run, num_steps, device)),
            Contestant("Lightning Trainer", lightning_way, (run, num_steps, device)),
            Contestant(f"engine={engine}", engine_way, ((*run, f"engine={engine}"), of_engine, device)),
        ]
        unit = f"one training step, {model}"
        results.append(Result(f"trainer_{model}", unit, described, compare(ways, options.rounds)))
    return results


if __name__ == "__main__":
    start(measure)
