"""The metrics for many weightings of the same images at once, as resampling needs them.

Letters of this module: B images, C classes, R weightings.

What does not change with the weights is done once: images are sorted by each class's score, and every other metric is
written in sums over images, whose terms one sparse matrix holds. A weighting then costs cumulative sums. Whole-number
weights give what scikit-learn gives for images repeated as often. Ties in scores are exact: a tied pair counts half
for the AUC, and tied images pass the threshold of average precision together.

Where a class or its rest has no weight, the class's metrics but the Brier score are NaN, and so are the macro averages,
AUC, average precision, kappa and MCC: the exact metrics raise `UserError` there. Accuracy, Brier score, calibration
error and log loss remain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.calibration import BINS, list_calibration_events, number_bins
from medmamba_monai.evaluation.scores import BoolArray, FloatArray, IntArray, Scores, Task

_EPSILON = float(np.finfo(np.float64).eps)

WeightedMetric = Callable[["WeightedScores"], FloatArray]


class PreparedScores:
    """What the metrics of one model on one set of images need, whatever the images' weights.

    Args:
        scores: of B images.
    """

    def __init__(self, scores: Scores) -> None:
        self.task = scores.task
        self.num_images, self.num_classes = scores.probabilities.shape
        several = scores.task == "multi-label"
        self.cell_shape = (self.num_classes, 2, 2) if several else (self.num_classes, self.num_classes)
        columns = zip(scores.probabilities.T, scores.indicators.T, strict=True)
        self.rankings = [Ranking.of(*column) for column in columns]
        blocks = [build(scores) for build in (_cells, _brier_terms, _losses, _calibration_gaps)]
        self._terms = sparse.vstack(blocks).tocsr()
        self._ends = np.cumsum([block.shape[0] for block in blocks])[:-1]

    def weigh(self, weights: FloatArray) -> WeightedScores:
        """Weigh the images.

        Args:
            weights: (B, R), not negative, each column with a positive sum.

        Raises:
            UserError: weights of another number of images.
        """
        if weights.ndim != 2 or len(weights) != self.num_images:
            raise UserError(f"weights have shape {weights.shape}, not ({self.num_images} images, weightings)")
        cells, brier, losses, gaps = np.split(self._terms @ weights, self._ends)
        return WeightedScores(
            task=self.task,
            weights=weights,
            total=weights.sum(axis=0),
            confusion=cells.reshape(*self.cell_shape, -1),
            squared_errors=brier,
            losses=losses[0],
            calibration_gaps=gaps.reshape(-1, BINS, weights.shape[1]),
            rankings=self.rankings,
        )


@dataclass(frozen=True, eq=False)
class Counts:
    """Weight of true and false positives and negatives of each class, (C, R) each."""

    tp: FloatArray
    fp: FloatArray
    fn: FloatArray
    tn: FloatArray


@dataclass(frozen=True, eq=False)
class WeightedScores:
    """Sums over weighted images, of which weighted metrics are made.

    Attributes:
        task: of the data.
        weights: of the images (B, R).
        total: their sum (R,).
        confusion: weight of each pair of true and predicted class (C, C, R); of a multi-label task (C, 2, 2, R).
        squared_errors: of each class's probability (C, R).
        losses: negative log likelihood (R,).
        calibration_gaps: probability minus outcome in each bin, (1, `BINS`, R), of a multi-label task (C, `BINS`, R).
        rankings: of each class.
    """

    task: Task
    weights: FloatArray
    total: FloatArray
    confusion: FloatArray
    squared_errors: FloatArray
    losses: FloatArray
    calibration_gaps: FloatArray
    rankings: list[Ranking]

    @cached_property
    def counts(self) -> Counts:
        """Each class against the rest."""
        return _count_against_rest(self.confusion)

    @cached_property
    def absent(self) -> BoolArray:
        """Whether a class, or its rest, has no weight (C, R)."""
        counts = self.counts
        return (counts.tp + counts.fn == 0) | (counts.tn + counts.fp == 0)

    @cached_property
    def areas(self) -> tuple[FloatArray, FloatArray]:
        """Area under the ROC curve and average precision of each class, (C, R) each."""
        aucs, precisions = zip(*(ranking.areas(self.weights) for ranking in self.rankings), strict=True)
        return self.where_defined(np.array(aucs)), self.where_defined(np.array(precisions))

    def where_defined(self, values: FloatArray) -> FloatArray:
        """Return NaN in place of the values (C, R) of classes that are absent."""
        return np.where(self.absent, np.nan, values)


def accuracy(weighted: WeightedScores) -> FloatArray:
    """Return the accuracy (R,); of a multi-label task that of all labels together."""
    right = np.einsum("...iir->...r", weighted.confusion)
    if weighted.task == "multi-label":
        return right.mean(axis=0) / weighted.confusion[0].sum(axis=(0, 1))
    return right / weighted.confusion.sum(axis=1).sum(axis=0)


def class_precision(weighted: WeightedScores) -> FloatArray:
    """Return the precision of each class (C, R)."""
    return weighted.where_defined(_divide(weighted.counts.tp, weighted.counts.tp + weighted.counts.fp))


def class_sensitivity(weighted: WeightedScores) -> FloatArray:
    """Return the sensitivity of each class (C, R)."""
    return weighted.where_defined(_divide(weighted.counts.tp, weighted.counts.tp + weighted.counts.fn))


def class_specificity(weighted: WeightedScores) -> FloatArray:
    """Return the specificity of each class (C, R)."""
    return weighted.where_defined(_divide(weighted.counts.tn, weighted.counts.tn + weighted.counts.fp))


def class_f1(weighted: WeightedScores) -> FloatArray:
    """Return the F1 of each class (C, R)."""
    counts = weighted.counts
    return weighted.where_defined(_divide(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn))


def class_balanced_accuracy(weighted: WeightedScores) -> FloatArray:
    """Return the mean of sensitivity and specificity of each class (C, R)."""
    return (class_sensitivity(weighted) + class_specificity(weighted)) / 2


def class_mcc(weighted: WeightedScores) -> FloatArray:
    """Return Matthews' correlation of each class (C, R)."""
    tp, fp, fn, tn = weighted.counts.tp, weighted.counts.fp, weighted.counts.fn, weighted.counts.tn
    spread = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return weighted.where_defined(_divide(tp * tn - fp * fn, spread))


def class_auc(weighted: WeightedScores) -> FloatArray:
    """Return the area under the ROC curve of each class (C, R)."""
    return weighted.areas[0]


def class_average_precision(weighted: WeightedScores) -> FloatArray:
    """Return the average precision of each class (C, R)."""
    return weighted.areas[1]


def class_brier_score(weighted: WeightedScores) -> FloatArray:
    """Return the mean squared error of each class's probability (C, R)."""
    return weighted.squared_errors / weighted.total


def average_classes(per_class: WeightedMetric) -> WeightedMetric:
    """Make the macro average (R,) of a metric of each class."""
    return lambda weighted: per_class(weighted).mean(axis=0)


def average_ranked(per_class: WeightedMetric) -> WeightedMetric:
    """Make the value of class 1 of a binary task, else the macro average (R,), of a metric of each class."""
    return lambda weighted: per_class(weighted)[1] if weighted.task == "binary" else per_class(weighted).mean(axis=0)


def balanced_accuracy(weighted: WeightedScores) -> FloatArray:
    """Return the balanced accuracy (R,)."""
    per_class = class_balanced_accuracy if weighted.task == "multi-label" else class_sensitivity
    return per_class(weighted).mean(axis=0)


def brier_score(weighted: WeightedScores) -> FloatArray:
    """Return the Brier score (R,)."""
    per_class = class_brier_score(weighted)
    if weighted.task == "binary":
        return per_class[1]
    return per_class.mean(axis=0) if weighted.task == "multi-label" else per_class.sum(axis=0)


def kappa(weighted: WeightedScores) -> FloatArray:
    """Return Cohen's kappa (R,), of a task with one class for each image."""
    confusion = weighted.confusion
    grades = np.arange(len(confusion))
    distance = np.abs(grades[:, None] - grades[None]).astype(np.float64)
    cost = distance**2 if weighted.task == "ordinal" else np.sign(distance)
    claimed, true = confusion.sum(axis=0), confusion.sum(axis=1)
    expected = np.einsum("ij,ir,jr->r", cost, true, claimed) / true.sum(axis=0)
    values = 1 - _divide(np.einsum("ij,ijr->r", cost, confusion), expected)
    return np.where(weighted.absent.any(axis=0), np.nan, values)


def mcc(weighted: WeightedScores) -> FloatArray:
    """Return Matthews' correlation (R,), for several classes Gorodkin's (2004), for several labels their mean."""
    if weighted.task == "multi-label":
        return class_mcc(weighted).mean(axis=0)
    confusion = weighted.confusion
    right, claimed, true = np.einsum("iir->r", confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    total = true.sum(axis=0)
    spread = (total**2 - (claimed**2).sum(axis=0)) * (total**2 - (true**2).sum(axis=0))
    values = _divide(right * total - (claimed * true).sum(axis=0), np.sqrt(spread))
    return np.where(weighted.absent.any(axis=0), np.nan, values)


def expected_calibration_error(weighted: WeightedScores) -> FloatArray:
    """Return the expected calibration error (R,)."""
    return np.abs(weighted.calibration_gaps).sum(axis=1).mean(axis=0) / weighted.total


def log_loss(weighted: WeightedScores) -> FloatArray:
    """Return the log loss (R,)."""
    return weighted.losses / weighted.total


@dataclass(frozen=True, eq=False)
class Ranking:
    """One class against the rest: positive and negative images, each in ascending order of the class's score.

    Of each positive image, `below` is how many negative images have a lower score, `not_above` how many have no
    higher score, and `first` how many positive images have a lower score.
    """

    positive: IntArray
    negative: IntArray
    below: IntArray
    not_above: IntArray
    first: IntArray

    @classmethod
    def of(cls, scores: FloatArray, happened: IntArray) -> Ranking:
        """Rank the images by their score."""
        order = np.argsort(scores, kind="stable")
        positive, negative = order[happened[order] == 1], order[happened[order] == 0]
        ours, theirs = scores[positive], scores[negative]
        below, not_above = np.searchsorted(theirs, ours, "left"), np.searchsorted(theirs, ours, "right")
        return cls(positive, negative, below, not_above, np.searchsorted(ours, ours, "left"))

    def areas(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Compute the area under the ROC curve (R,) and the average precision (R,)."""
        ours = weights.take(self.positive, axis=0)
        positive, negative = _sum_from_zero(ours), _sum_from_zero(weights.take(self.negative, axis=0))
        below = negative.take(self.below, axis=0)
        pairs_won = np.einsum("pr,pr->r", ours, below + negative.take(self.not_above, axis=0)) / 2
        hits = positive[-1] - positive.take(self.first, axis=0)
        precision = _divide(hits, hits + negative[-1] - below)
        gained = np.einsum("pr,pr->r", ours, precision)
        return _divide(pairs_won, positive[-1] * negative[-1]), _divide(gained, positive[-1])


def _count_against_rest(confusion: FloatArray) -> Counts:
    if confusion.ndim == 4:
        return Counts(confusion[:, 1, 1], confusion[:, 0, 1], confusion[:, 1, 0], confusion[:, 0, 0])
    hits = np.einsum("iir->ir", confusion)
    claimed, true = confusion.sum(axis=0), confusion.sum(axis=1)
    return Counts(hits, claimed - hits, true - hits, true.sum(axis=0) - claimed - true + hits)


def _sum_from_zero(values: FloatArray) -> FloatArray:
    sums = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=sums[1:])
    return sums


def _divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide; give 0 where the denominator is 0."""
    return numerator / np.where(denominator > 0, denominator, np.inf)


def _rows(numbers: IntArray, values: FloatArray, num_rows: int) -> sparse.csr_matrix:
    """Make a matrix (num_rows, B) with the value of each image in the row of that number."""
    return sparse.csr_matrix((values, (numbers, np.arange(len(values)))), shape=(num_rows, len(values)))


def _cells(scores: Scores) -> sparse.csr_matrix:
    """Lay out the confusion matrix (C * C, B), true before predicted; of a multi-label task (C * 2 * 2, B)."""
    ones = np.ones(len(scores))
    if scores.task == "multi-label":
        return sparse.vstack([_rows(cell, ones, 4) for cell in (2 * scores.labels + scores.predicted).T])
    return _rows(scores.labels * scores.num_classes + scores.predicted, ones, scores.num_classes**2)


def _brier_terms(scores: Scores) -> sparse.csr_matrix:
    return sparse.csr_matrix(((scores.probabilities - scores.indicators) ** 2).T)


def _losses(scores: Scores) -> sparse.csr_matrix:
    values, labels = scores.probabilities, scores.labels
    if scores.task == "multi-label":
        likelihood = np.where(labels == 1, values, 1 - values)
    else:
        likelihood = np.take_along_axis(values / values.sum(axis=1, keepdims=True), labels[:, None], axis=1)
    losses = -np.log(np.clip(likelihood, _EPSILON, 1 - _EPSILON))
    return sparse.csr_matrix(losses.mean(axis=1)[None])


def _calibration_gaps(scores: Scores) -> sparse.csr_matrix:
    """Lay out probability minus outcome of each event, in the row of its bin."""
    events, happened = list_calibration_events(scores)
    columns = zip(number_bins(events).T, (events - happened).T, strict=True)
    return sparse.vstack([_rows(bins, gaps, BINS) for bins, gaps in columns])
