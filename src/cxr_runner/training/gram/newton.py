"""L2-penalised logistic regression, solved to its optimum on a matrix of inner products.

The weights are ``w = sum of alpha_i (x_i - mean)``, and the penalised mean loss is convex in ``alpha`` and in the
intercept, which carries no penalty. With fewer images than pixels, a step of Newton's method is one Cholesky factor of
the size of the matrix, and some six steps reach the optimum, whatever the number of pixels.

Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), section 3.4: their Newton step, whose
matrix has no eigenvalue below 1; the intercept as in Green and Yandell, "Semi-parametric generalized linear models"
(1985).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from cxr_runner.base.errors import DivergedError

_MOST_STEPS = 200  # some six are taken, twenty where classes are nearly separated
_MOST_HALVINGS = 40
_TOLERANCE = 1e-10  # of the equations that hold at the optimum, relative to the largest coefficient


@dataclass(frozen=True)
class Problem:
    """What is minimised: the mean of ``weights * loss`` over the images plus ``l2 / 2`` times the squared norm of w.

    Attributes:
        gram: inner products of the images about their mean, float64 [images, images].
        labels: float64 [images], 0 or 1.
        weights: weight of each image's loss, float64 [images].
        l2: penalty; scikit-learn's ``C`` is ``1 / (l2 * images)``.
    """

    gram: Tensor
    labels: Tensor
    weights: Tensor
    l2: float

    @property
    def _against(self) -> Tensor:
        """1 where a larger logit is wrong, -1 where it is right; ``sigmoid(logits) - labels`` would cancel to 0."""
        return 1 - 2 * self.labels

    def losses(self, logits: Tensor) -> Tensor:
        """Return the weighted loss of each image, float64 [images]."""
        return self.weights * softplus(self._against * logits, threshold=40)

    def slopes(self, logits: Tensor) -> Tensor:
        """Return the derivatives of the losses by the logits, float64 [images]."""
        return self._against * self.weights * (self._against * logits).sigmoid()

    def curvatures(self, logits: Tensor) -> Tensor:
        """Return the second derivatives, float64 [images]."""
        return self.weights * logits.sigmoid() * (-logits).sigmoid()


@dataclass(frozen=True)
class Point:
    """Coefficients and what follows from them.

    Attributes:
        alpha: float64 [images]; they add up to 0.
        intercept: float64 [], of images about their mean.
        products: ``gram @ alpha``, float64 [images].
    """

    alpha: Tensor
    intercept: Tensor
    products: Tensor

    @property
    def logits(self) -> Tensor:
        """float64 [images]."""
        return self.products + self.intercept

    def objective(self, problem: Problem) -> Tensor:
        """Return what is minimised, float64 []."""
        return problem.losses(self.logits).mean() + problem.l2 / 2 * (self.alpha @ self.products)

    def towards(self, other: "Point", share: float) -> "Point":
        """Return the point that lies a share of the way to another one."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Point(*(torch.lerp(mine, theirs, share) for mine, theirs in pairs))


def minimise(problem: Problem, start: Tensor, intercept: Tensor) -> Point:
    """Return the optimum.

    Args:
        problem: what is minimised.
        start: coefficients to begin with, float64 [images], such as the optimum of a larger penalty; 0 will do.
        intercept: likewise, float64 [].

    Raises:
        DivergedError: Newton's method does not get there, as where rounding takes more than a small penalty gives.
    """
    point = Point(start, intercept, problem.gram @ start)
    for _ in range(_MOST_STEPS):
        if _is_optimum(problem, point):
            return point
        point = _descend(problem, point, _newton(problem, point))
    raise DivergedError(f"no optimum of the penalised loss in {_MOST_STEPS} steps")


def _is_optimum(problem: Problem, point: Point) -> bool:
    """Whether the gradient is 0: ``alpha = -slopes / (images * l2)``, and the slopes add up to 0."""
    wanted = problem.slopes(point.logits) / (-len(point.alpha) * problem.l2)
    largest = wanted.abs().max()
    return bool((point.alpha - wanted).abs().max() <= _TOLERANCE * largest)


def _newton(problem: Problem, point: Point) -> Point:
    """Return the minimum of the parabola that touches the objective at a point."""
    logits, num_images = point.logits, len(point.alpha)
    curvature, ridge = problem.curvatures(logits), num_images * problem.l2
    root = curvature.sqrt()
    matrix = problem.gram * (root / ridge).unsqueeze(1)
    matrix *= root
    matrix.diagonal().add_(1)
    factor, fault = torch.linalg.cholesky_ex(matrix)
    if fault:  # no eigenvalue is below 1, but to rounding
        raise DivergedError(f"l2={problem.l2:g} is too small for float64")
    # (ridge + W K) alpha = W (logits - intercept) - slopes, for an intercept that lets the coefficients add up to 0.
    sides = torch.stack([curvature * logits - problem.slopes(logits), curvature], dim=1)
    inner = torch.cholesky_solve(root.unsqueeze(1) * (problem.gram @ sides) / ridge, factor)
    solved = (sides - root.unsqueeze(1) * inner) / ridge
    sums = solved.sum(dim=0)
    intercept = sums[0] / sums[1]
    alpha = solved[:, 0] - intercept * solved[:, 1]
    alpha -= alpha.mean()
    return Point(alpha, intercept, problem.gram @ alpha)


def _descend(problem: Problem, point: Point, target: Point) -> Point:
    """Go to the target, or as large a part of the way as does not lead uphill."""
    before, share = point.objective(problem), 1.0
    for _ in range(_MOST_HALVINGS):
        reached = point.towards(target, share)
        if reached.objective(problem) <= before * (1 + 1e-13):
            return reached
        share /= 2
    return target  # the objective is flat to the last bit, and a step of Newton's method right
