"""All metrics of `review_metrics` for many weightings of the same images at once, as resampling needs them.

Letters of this module: B images, C classes, R weightings, K metrics.

What does not change with the weights is done once: images are sorted by each class's score, and every other metric is
written in sums over images, whose terms one sparse matrix holds. A weighting then costs cumulative sums. Whole-number
weights give what scikit-learn gives for images repeated as often. Ties in scores are exact: a tied pair counts half
for the AUC, and tied images pass the threshold of average precision together.

Where a class or its rest has no weight, the class's metrics but the Brier score are NaN, and so are the macro averages,
AUC, average precision, kappa and MCC: `review_metrics` raises `UserError` there. Accuracy, Brier score, calibration
error and log loss remain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.calibration import BINS, bin_numbers, calibration_events, indicators
from medmamba_monai.evaluation.metrics.paper import FloatArray, IntArray, check_scores, predicted_labels
from medmamba_monai.evaluation.metrics.review import REVIEW_CLASS_METRICS, metric_names

BoolArray = NDArray[np.bool_]

_EPSILON = float(np.finfo(np.float64).eps)


class WeightedMetrics:
    """The metrics of one model on one set of images, as a function of the images' weights.

    Args:
        probabilities: scores of B images, see `medmamba_monai.evaluation.metrics.paper`.
        labels: their true classes.
        task: one of `medmamba_monai.evaluation.metrics.paper.TASKS`.

    Attributes:
        num_images: B.
        keys: name and class of each of the K metrics; the class is None where the metric is of all classes.

    Raises:
        UserError: for input that does not fit the task.
    """

    def __init__(self, probabilities: ArrayLike, labels: ArrayLike, task: str) -> None:
        scores, truth = check_scores(probabilities, labels, task)
        self.num_images, num_classes = scores.shape
        self.keys: list[tuple[str, int | None]] = [(name, None) for name in metric_names(task)]
        self.keys += [(name, index) for name in REVIEW_CLASS_METRICS for index in range(num_classes)]
        self._task = task
        self._cell_shape = (num_classes, 2, 2) if task == "multi-label" else (num_classes, num_classes)
        columns = zip(scores.T, indicators(truth, num_classes).T, strict=True)
        self._rankings = [_Ranking.of(*column) for column in columns]
        builders = (_cells, _brier_terms, _losses, _calibration_gaps)
        blocks = [build(scores, truth, task) for build in builders]
        self._terms = sparse.vstack(blocks).tocsr()
        self._ends = np.cumsum([block.shape[0] for block in blocks])[:-1]

    def __call__(self, weights: FloatArray) -> FloatArray:
        """Compute all metrics.

        Args:
            weights: (B, R), not negative, each column with a positive sum.

        Returns:
            Metrics (K, R) in the order of `keys`, NaN where they are not defined.

        Raises:
            UserError: weights of another number of images.
        """
        if weights.ndim != 2 or len(weights) != self.num_images:
            raise UserError(f"weights have shape {weights.shape}, not ({self.num_images} images, weightings)")
        total = weights.sum(axis=0)
        cells, brier, losses, gaps = np.split(self._terms @ weights, self._ends)
        confusion = cells.reshape(*self._cell_shape, -1)
        counts = _one_against_rest(confusion)
        per_class = {**_class_metrics(counts), **self._areas(weights)}
        absent = (counts.tp + counts.fn == 0) | (counts.tn + counts.fp == 0)
        per_class = {name: np.where(absent, np.nan, values) for name, values in per_class.items()}
        per_class["brier"] = brier / total
        overall = {
            **_overall_metrics(per_class, self._task),
            **_confusion_metrics(confusion, absent.any(axis=0), self._task),
            "ece": np.abs(gaps).reshape(-1, BINS, len(total)).sum(axis=1).mean(axis=0) / total,
            "log_loss": losses[0] / total,
        }
        return np.array([per_class[name][index] if index is not None else overall[name] for name, index in self.keys])

    def _areas(self, weights: FloatArray) -> dict[str, FloatArray]:
        aucs, precisions = zip(*(ranking.areas(weights) for ranking in self._rankings), strict=True)
        return {"auc": np.array(aucs), "average_precision": np.array(precisions)}


@dataclass(frozen=True, eq=False)
class _Ranking:
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
    def of(cls, scores: FloatArray, happened: IntArray) -> _Ranking:
        order = np.argsort(scores, kind="stable")
        positive, negative = order[happened[order] == 1], order[happened[order] == 0]
        ours, theirs = scores[positive], scores[negative]
        below, not_above = np.searchsorted(theirs, ours, "left"), np.searchsorted(theirs, ours, "right")
        return cls(positive, negative, below, not_above, np.searchsorted(ours, ours, "left"))

    def areas(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Area under the ROC curve (R,) and average precision (R,)."""
        ours = weights.take(self.positive, axis=0)
        positive, negative = _sums_from_zero(ours), _sums_from_zero(weights.take(self.negative, axis=0))
        below = negative.take(self.below, axis=0)
        pairs_won = np.einsum("pr,pr->r", ours, below + negative.take(self.not_above, axis=0)) / 2
        hits = positive[-1] - positive.take(self.first, axis=0)
        precision = _ratio(hits, hits + negative[-1] - below)
        gained = np.einsum("pr,pr->r", ours, precision)
        return _ratio(pairs_won, positive[-1] * negative[-1]), _ratio(gained, positive[-1])


def _sums_from_zero(values: FloatArray) -> FloatArray:
    sums = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=sums[1:])
    return sums


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """0 where the denominator is 0."""
    return numerator / np.where(denominator > 0, denominator, np.inf)


def _rows(numbers: IntArray, values: FloatArray, num_rows: int) -> sparse.csr_matrix:
    """A matrix (num_rows, B) with the value of each image in the row of that number."""
    return sparse.csr_matrix((values, (numbers, np.arange(len(values)))), shape=(num_rows, len(values)))


def _cells(scores: FloatArray, truth: IntArray, task: str) -> sparse.csr_matrix:
    """Cells of the confusion matrix (C * C, B), true before predicted; of a multi-label task (C * 2 * 2, B)."""
    predicted, ones = predicted_labels(scores, task), np.ones(len(scores))
    if task == "multi-label":
        return sparse.vstack([_rows(cell, ones, 4) for cell in (2 * truth + predicted).T])
    return _rows(truth * scores.shape[1] + predicted, ones, scores.shape[1] ** 2)


def _brier_terms(scores: FloatArray, truth: IntArray, task: str) -> sparse.csr_matrix:
    return sparse.csr_matrix(((scores - indicators(truth, scores.shape[1])) ** 2).T)


def _losses(scores: FloatArray, truth: IntArray, task: str) -> sparse.csr_matrix:
    if task == "multi-label":
        likelihood = np.where(truth == 1, scores, 1 - scores)
    else:
        likelihood = np.take_along_axis(scores / scores.sum(axis=1, keepdims=True), truth[:, None], axis=1)
    losses = -np.log(np.clip(likelihood, _EPSILON, 1 - _EPSILON))
    return sparse.csr_matrix(losses.mean(axis=1)[None])


def _calibration_gaps(scores: FloatArray, truth: IntArray, task: str) -> sparse.csr_matrix:
    """Probability minus outcome of each event, in the row of its bin."""
    events, happened = calibration_events(scores, truth, task)
    columns = zip(bin_numbers(events).T, (events - happened).T, strict=True)
    return sparse.vstack([_rows(bins, gaps, BINS) for bins, gaps in columns])


@dataclass(frozen=True, eq=False)
class _Counts:
    """Weight of true and false positives and negatives of each class, (C, R) each."""

    tp: FloatArray
    fp: FloatArray
    fn: FloatArray
    tn: FloatArray


def _one_against_rest(confusion: FloatArray) -> _Counts:
    if confusion.ndim == 4:
        return _Counts(confusion[:, 1, 1], confusion[:, 0, 1], confusion[:, 1, 0], confusion[:, 0, 0])
    hits = np.einsum("iir->ir", confusion)
    claimed, true = confusion.sum(axis=0), confusion.sum(axis=1)
    return _Counts(hits, claimed - hits, true - hits, true.sum(axis=0) - claimed - true + hits)


def _class_metrics(counts: _Counts) -> dict[str, FloatArray]:
    tp, fp, fn, tn = counts.tp, counts.fp, counts.fn, counts.tn
    sensitivity, specificity = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    spread = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return {
        "precision": _ratio(tp, tp + fp),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "mcc": _ratio(tp * tn - fp * fn, spread),
    }


def _overall_metrics(per_class: Mapping[str, FloatArray], task: str) -> dict[str, FloatArray]:
    """Metrics of all classes that are made of those of each class, by the rules of `review_metrics`."""
    means = {name: values.mean(axis=0) for name, values in per_class.items()}
    if task == "multi-label":
        return means
    means["balanced_accuracy"] = means["sensitivity"]
    means["brier"] = per_class["brier"].sum(axis=0)
    of_class_one = ("auc", "average_precision", "brier") if task == "binary" else ()
    return means | {name: per_class[name][1] for name in of_class_one}


def _confusion_metrics(confusion: FloatArray, absent: BoolArray, task: str) -> dict[str, FloatArray]:
    """Accuracy, kappa and MCC (Gorodkin 2004); those of a multi-label task are means over the labels."""
    right = np.einsum("...iir->...r", confusion)
    if task == "multi-label":
        return {"accuracy": right.mean(axis=0) / confusion[0].sum(axis=(0, 1))}
    claimed, true = confusion.sum(axis=0), confusion.sum(axis=1)
    total = true.sum(axis=0)
    spread = (total**2 - (claimed**2).sum(axis=0)) * (total**2 - (true**2).sum(axis=0))
    values = {
        "kappa": _kappa(confusion, claimed, true, squared=task == "ordinal"),
        "mcc": _ratio(right * total - (claimed * true).sum(axis=0), np.sqrt(spread)),
    }
    return {"accuracy": right / total, **{name: np.where(absent, np.nan, value) for name, value in values.items()}}


def _kappa(confusion: FloatArray, claimed: FloatArray, true: FloatArray, squared: bool) -> FloatArray:
    grades = np.arange(len(confusion))
    distance = np.abs(grades[:, None] - grades[None]).astype(np.float64)
    cost = distance**2 if squared else np.sign(distance)
    expected = np.einsum("ij,ir,jr->r", cost, true, claimed) / true.sum(axis=0)
    return 1 - _ratio(np.einsum("ij,ijr->r", cost, confusion), expected)
