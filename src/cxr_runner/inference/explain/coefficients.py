"""The training images behind a prediction, of a run in Gram space: exact, from the coefficients that training left.

The weights of the first layer are ``W = c W0 + A X``, with X the training images. Behind it a network of this kind is
linear around each image: the logit is ``v . W x + rest``, where v are the weights of the paths that are active, all of
them where there is no ReLU. So the logit is a sum over the training images, ``(v A)_j <x_j, x>``, and what the initial
weights and the biases add.

Nearly all of each such term is what any two X-rays have in common: the same training images come first whatever is
asked about. So both images are measured from the mean of the training images, ``(v A)_j <x_j - mean, x - mean>``, by
how they differ from it. The rest of the sum is what the local map makes of the mean, and what all training images have
in common adds for this image, ``sum_j (v A)_j <mean, x - mean>``.

Source:
    Yeh et al., Representer Point Selection for Explaining Deep Neural Networks, NeurIPS 2018, for the terms of a last
    layer; here they are those of the first, and no fit is needed: training is done in these coordinates.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxr_runner.artifacts.rundir import RunDir
from cxr_runner.base.errors import UserError
from cxr_runner.models.build import build_model
from cxr_runner.models.linear import Linear, first_weight
from cxr_runner.models.linear_relu import LinearReLU
from cxr_runner.training.gram.final_state import read_final_state
from cxr_runner.training.gram.head import Head

if TYPE_CHECKING:  # it is handed runs and their images
    from cxr_runner.data.dataset import Dataset
    from cxr_runner.inference.loaded_run import LoadedRun

_PIXELS_AT_ONCE = 2**24  # of training images, which are converted to float64


@dataclass(frozen=True, eq=False)
class Influences:
    """A logit as a sum, float64 throughout.

    Attributes:
        names: str [training images].
        labels: int64 [training images].
        pushes: float64 [training images], what each adds, both images measured from the mean training image.
        from_black: float64 [training images], what each adds, measured from a black image.
        mean: what the local map makes of the mean training image.
        start: what the initial weights add beyond what they add to the mean training image.
        common: what the training images add by what all of them have in common.
        logit: computed layer by layer, in the coordinates that training left.
    """

    names: NDArray[np.str_]
    labels: NDArray[np.int64]
    pushes: NDArray[np.float64]
    from_black: NDArray[np.float64]
    mean: float
    start: float
    common: float
    logit: float

    @property
    def total(self) -> float:
        """The sum of all terms, which is the logit."""
        return self.mean + self.start + self.common + float(self.pushes.sum())


@dataclass(frozen=True, eq=False)
class GramRun:
    """A run in Gram space with its training images.

    Attributes:
        names: str [training images].
        labels: int64 [training images].
        train: int64 [training images], rows of the stored images.
        images: uint8 [stored images, pixels].
        start: initial weights W0 of the first layer times c, float64 [outputs, pixels].
        coordinates: A, float64 [outputs, training images].
        head: the layers behind the first.
        parameters: those of the head, float64 [1, ...] each.
        mean: float64 [pixels], the mean training image, from 0 to 1.
    """

    names: NDArray[np.str_]
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    images: NDArray[np.uint8]
    start: NDArray[np.float64]
    coordinates: NDArray[np.float64]
    head: Head
    parameters: dict[str, Tensor]
    mean: NDArray[np.float64]

    def influences(self, squares: NDArray[np.uint8]) -> list[Influences]:
        """Take logits apart.

        Args:
            squares: uint8 [images, side, side], of the store or foreign.
        """
        given = np.vstack([squares.reshape(len(squares), -1) / 255, self.mean])
        products, with_mean = self.products(given), given @ self.mean
        starts = given @ self.start.T
        outputs = starts + products @ self.coordinates.T  # of the first layer, without its bias
        logits, inputs = self.head.forward(torch.from_numpy(outputs)[None], self.parameters)
        active, _ = self.head.backward(torch.ones_like(logits), inputs, self.parameters)
        return [
            self._influences(
                active[0].numpy()[number],
                products[[number, -1]],
                with_mean[[number, -1]],
                starts[[number, -1]],
                outputs[[number, -1]],
                float(logits[0, number]),
            )
            for number in range(len(squares))
        ]

    def _influences(
        self,
        active: NDArray[np.float64],
        products: NDArray[np.float64],
        with_mean: NDArray[np.float64],
        starts: NDArray[np.float64],
        outputs: NDArray[np.float64],
        logit: float,
    ) -> Influences:
        """Take one logit apart; of everything there are two rows, of the image and of the mean training image."""
        weights = active @ self.coordinates
        beyond, common = products[0] - products[1], with_mean[0] - with_mean[1]
        return Influences(
            names=self.names,
            labels=self.labels,
            pushes=weights * (beyond - common),
            from_black=weights * products[0],
            mean=logit - float(active @ (outputs[0] - outputs[1])),
            start=float(active @ (starts[0] - starts[1])),
            common=float((weights * common).sum()),
            logit=logit,
        )

    def products(self, given: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the inner products of images, float64 [images, pixels], with the training images."""
        step = max(1, _PIXELS_AT_ONCE // self.images.shape[1])
        parts = [given @ (self.images[self.train[at : at + step]] / 255).T for at in range(0, len(self.train), step)]
        return np.concatenate(parts, axis=1)

    def learned(self) -> NDArray[np.float64]:
        """Return the map of a network without ReLU, without what its initial weights leave: float64 [pixels]."""
        step = max(1, _PIXELS_AT_ONCE // self.images.shape[1])
        logits, inputs = self.head.forward(torch.zeros(1, 1, len(self.start), dtype=torch.float64), self.parameters)
        active, _ = self.head.backward(torch.ones_like(logits), inputs, self.parameters)
        weights = active[0, 0].numpy() @ self.coordinates
        total = np.zeros(self.images.shape[1])
        for at in range(0, len(self.train), step):
            total += weights[at : at + step] @ (self.images[self.train[at : at + step]] / 255)
        return total


def open_gram_run(run: "LoadedRun", dataset: "Dataset", mean: NDArray[np.float64]) -> GramRun | None:
    """Open the coefficients of a run; None where it was not trained in Gram space, or kept none.

    Args:
        run: the run.
        dataset: its images.
        mean: float64 [side, side], the mean training image.

    Raises:
        UserError: the coefficients cannot be read.
    """
    files, network = RunDir(run.run.path), run.network
    if not files.gram.exists() or not isinstance(network, Linear | LinearReLU):
        return None
    try:
        state, facts = read_final_state(files)
    except (OSError, ValueError) as error:
        raise UserError.for_key("run", run.run.path, f"{files.gram.name} cannot be read ({error})") from None
    trained, head = state["trained"], Head.of(network.layer_stack)
    initial = first_weight(build_model(run.model, run.image_size, facts["seed"])).double().numpy()
    return GramRun(
        names=np.array(dataset.names("train")),
        labels=dataset.labels("train"),
        train=dataset.rows("train"),
        images=dataset.images.reshape(len(dataset.images), -1),
        start=float(trained["decay"]) * initial,
        coordinates=trained["coordinates"].T.numpy(),
        head=head,
        parameters=head.unflatten(trained["rest"][None]),
        mean=mean.ravel(),
    )


def mean_influences(several: list[Influences]) -> Influences:
    """Return the mean of what several runs make of one image: the sums of an ensemble, whose logit is their mean.

    A training image that only some runs have seen adds nothing to the others.
    """
    if len(several) == 1:
        return several[0]
    labels = {str(name): int(label) for one in several for name, label in zip(one.names, one.labels, strict=True)}
    names = np.array(list(labels))
    place = {name: number for number, name in enumerate(names.tolist())}
    pushes, from_black = np.zeros((2, len(names)))
    for one in several:
        rows = [place[name] for name in one.names.tolist()]
        pushes[rows] += one.pushes / len(several)
        from_black[rows] += one.from_black / len(several)
    numbers = [[one.mean, one.start, one.common, one.logit] for one in several]
    codes = np.array(list(labels.values()), np.int64)
    return Influences(names, codes, pushes, from_black, *np.mean(numbers, axis=0).tolist())
