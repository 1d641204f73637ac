"""The data of a command's runs: images are opened and checked once, however many splits of them are trained on."""

from dataclasses import replace
from pathlib import Path

from cxr_runner.base.errors import BadImageError, RunFailedError, UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.data_schema import AnyDataConfig, SplitConfig
from cxr_runner.data.dataset import Dataset, open_images, open_intact, split_images
from cxr_runner.data.image_set import Images
from cxr_runner.data.sample_images import leave_samples
from cxr_runner.experiment.summary import describe_data, describe_split


class SharedData:
    """Opens each set of images once, splits it once for each ``data.split``, and checks its images once."""

    def __init__(self, reporter: Reporter) -> None:
        """Begin with nothing opened; ``reporter`` is shown what is."""
        self.reporter = reporter
        self.images: dict[AnyDataConfig, Images | Exception] = {}  # by the configuration, whose split says nothing
        self.intact: dict[AnyDataConfig, Images] = {}  # the same ones, or new ones, once all of them were checked
        self.datasets: dict[AnyDataConfig, Dataset | Exception] = {}
        self.first: dict[AnyDataConfig, Dataset] = {}  # of the splits of each set of images, as ``images``

    def open(self, config: AnyDataConfig, outputs: Path) -> Dataset | Exception:
        """Return the data set of a configuration, or what is wrong with it: the same object each time.

        Args:
            config: configuration of the data.
            outputs: outputs tree, which gets a few sample images.
        """
        if config not in self.datasets:
            images = self._open_images(config)
            self.datasets[config] = images if isinstance(images, Exception) else self._split(images, config, outputs)
        return self.datasets[config]

    def with_intact_images(self, config: AnyDataConfig) -> Dataset:
        """Return a data set that was opened, once all its images were checked.

        Of a store that was damaged it is another one, of the images as they were decoded anew.

        Raises:
            RunFailedError: there are other images now.
        """
        key, dataset = _of_any_split(config), self.datasets[config]
        opened = self.images[key]
        assert isinstance(opened, Images)
        assert isinstance(dataset, Dataset)
        if key not in self.intact:
            self.intact[key] = open_intact(opened, self.reporter)
        if self.intact[key] is opened:
            return dataset
        again = split_images(self.intact[key], config, self.reporter)
        if again.fingerprint != dataset.fingerprint:
            raise RunFailedError("the images have changed since the command began; the same command takes the new ones")
        return again

    def _open_images(self, config: AnyDataConfig) -> Images | Exception:
        key = _of_any_split(config)
        if key not in self.images:
            try:
                self.images[key] = open_images(config, self.reporter)
            except Exception as error:
                self.images[key] = error
        return self.images[key]

    def _split(self, images: Images, config: AnyDataConfig, outputs: Path) -> Dataset | Exception:
        try:
            dataset = split_images(images, config, self.reporter)
        except Exception as error:
            return error
        first = self.first.setdefault(_of_any_split(config), dataset)
        for line in describe_data(dataset) if first is dataset else describe_split(dataset, first):
            self.reporter.line(line)
        if first is dataset:
            self._leave_samples(outputs, dataset, config)
        return dataset

    def _leave_samples(self, outputs: Path, dataset: Dataset, config: AnyDataConfig) -> None:
        try:
            leave_samples(outputs, dataset, config)
        except (BadImageError, UserError, OSError) as error:  # no reason not to train
            self.reporter.line(f"no sample images for the report: {error}")


def _of_any_split(config: AnyDataConfig) -> AnyDataConfig:
    """Return what two configurations have in common that differ in their splits and shares only."""
    return replace(config, train_share=1.0, split=SplitConfig(None, 0, 1, None, "all", 0.5, None))
