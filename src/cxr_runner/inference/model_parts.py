"""What a model is made of, whether it comes from run directories or from a folder that was handed on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr_runner.base.progress import Reporter
from cxr_runner.config.schema import AnyModelConfig
from cxr_runner.inference.image_input import Preparation
from cxr_runner.inference.scored_images import ScoredImages
from cxr_runner.inference.training_images import TrainingImages
from cxr_runner.models.classifier import Classifier

if TYPE_CHECKING:  # parts are handed runs, they read none
    from cxr_runner.inference.loaded_run import LoadedRun


@dataclass(frozen=True, eq=False)
class MemberNetwork:
    """One network of a model.

    Attributes:
        key: name, id and seed of its run.
        config: configuration of the network.
        network: the network with its weights, in evaluation mode.
        weights: checksum of the weights; '' of a run from before there were any.
        bf16: whether it computed in bf16.
    """

    key: str
    config: AnyModelConfig
    network: Classifier
    weights: str
    bf16: bool


@dataclass(frozen=True, eq=False)
class ModelParts:
    """The parts of a model.

    Attributes:
        members: its networks, at least one.
        class_names: names of the negative and the positive class.
        preparation: what is made of an image.
        folder: where what is made of the model lies.
        trained_on: what is to be said of the training images, ready for JSON: ``title``, ``citation``, ``licence``,
            ``synthetic``, ``fingerprints``.
        held_out: gives the images of val or test, with the mean logit of the members that have not seen them.
        training_images: gives the images of the training, or the reason why they are not to be had.
        runs: the runs of the networks, in their order; none of a folder that was handed on.
    """

    members: tuple[MemberNetwork, ...]
    class_names: tuple[str, str]
    preparation: Preparation
    folder: Path
    trained_on: Mapping[str, Any]
    held_out: Callable[[str], ScoredImages]
    training_images: Callable[[Reporter], TrainingImages | str]
    runs: "tuple[LoadedRun, ...]" = ()
