"""What rounded test metrics give away: the counts behind a published table.

For any table of binary classifiers that gives accuracy, precision, recall and F1, rounded, on a test split whose
positives and negatives are known. All comparisons are in whole numbers: no result hangs on the rounding of a float. A
value counts as a fit up to half a unit of its last digit, both ends included, however the authors rounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Evaluation:
    """How a table was measured.

    Attributes:
        positives: test images of the positive class.
        negatives: other test images.
        batch_size: size of the batches that the accuracy was averaged over; the last holds the remaining images.
    """

    positives: int
    negatives: int
    batch_size: int

    @property
    def num_images(self) -> int:
        """Test images."""
        return self.positives + self.negatives

    @property
    def last_batch(self) -> int:
        """Images in the last batch."""
        return self.num_images % self.batch_size or self.batch_size

    @property
    def num_batches(self) -> int:
        """Batches, the last one included."""
        return -(-self.num_images // self.batch_size)


@dataclass(frozen=True)
class Reported:
    """One row of a table, all values as fractions.

    Attributes:
        accuracy: pooled or the mean over batches, which is what the search finds out.
        precision: precision of the positive class.
        recall: recall of the positive class.
        f1: F1 of the positive class.
        accuracy_digits: decimals that the accuracy was rounded to, as a fraction: 93.4 % has 3.
        digits: decimals of the other three.
    """

    accuracy: float
    precision: float
    recall: float
    f1: float
    accuracy_digits: int
    digits: int


@dataclass(frozen=True)
class Counts:
    """A confusion matrix."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def correct(self) -> int:
        """Images classified correctly."""
        return self.tp + self.tn

    @property
    def errors(self) -> int:
        """Images classified wrongly."""
        return self.fp + self.fn

    @property
    def accuracy(self) -> float:
        """Pooled: the share of images classified correctly."""
        return self.correct / (self.correct + self.errors)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.tp / (2 * self.tp + self.errors)


@dataclass(frozen=True)
class Solution:
    """Counts that a row can have come from.

    Attributes:
        counts: confusion matrix.
        last_errors: errors among the images of the last batch.
    """

    counts: Counts
    last_errors: int


def possible_counts(value: float, num_images: int, digits: int) -> list[int]:
    """Return every k for which k / num_images rounds to a published value: the GRIM test, passed if there is one.

    Args:
        value: fraction, as published.
        num_images: number of images that it is a share of.
        digits: decimals of the value.

    Source:
        Brown and Heathers, "The GRIM Test", Social Psychological and Personality Science 8 (2017), 363-369.
    """
    return [k for k in range(num_images + 1) if _rounds_to(k, num_images, value, digits)]


def matching_counts(reported: Reported, evaluation: Evaluation) -> list[Counts]:
    """Enumerate the confusion matrices whose precision and recall round to the published ones."""
    digits = reported.digits
    return [
        Counts(tp, fp, evaluation.positives - tp, evaluation.negatives - fp)
        for tp in range(evaluation.positives + 1)
        if _rounds_to(tp, evaluation.positives, reported.recall, digits)
        for fp in range(evaluation.negatives + 1)
        if tp + fp and _rounds_to(tp, tp + fp, reported.precision, digits)
    ]


def recover(reported: Reported, evaluation: Evaluation) -> list[Solution]:
    """Find all counts that a row can have come from, if its accuracy is the mean over batches.

    The search knows nothing but the row and the sizes: it tries every confusion matrix and every number of errors in
    the last, smaller batch, and keeps those whose precision, recall, F1 and mean over batches all round to what was
    published. Where the batches are all of one size, mean and pooled accuracy are the same.

    Returns:
        All solutions; none where no counts fit. They often share one pooled accuracy even where they are many.
    """
    return [
        Solution(counts, last_errors)
        for counts in matching_counts(reported, evaluation)
        if _rounds_to(2 * counts.tp, 2 * counts.tp + counts.errors, reported.f1, reported.digits)
        for last_errors in _last_errors(counts, reported, evaluation)
    ]


def _last_errors(counts: Counts, reported: Reported, evaluation: Evaluation) -> Iterator[int]:
    size, last, full = evaluation.batch_size, evaluation.last_batch, evaluation.num_batches - 1
    for errors in range(min(last, counts.errors) + 1):
        correct_before = full * size - (counts.errors - errors)
        if correct_before < 0:
            continue
        # The mean of full + 1 shares, brought to one denominator.
        mean = correct_before * last + (last - errors) * size, (full + 1) * size * last
        if _rounds_to(*mean, reported.accuracy, reported.accuracy_digits):
            yield errors


def _rounds_to(numerator: int, denominator: int, value: float, digits: int) -> bool:
    scale: int = 10**digits
    return abs(numerator * scale - round(value * scale) * denominator) * 2 <= denominator
