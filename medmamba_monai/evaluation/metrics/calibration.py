"""Metrics of the probabilities themselves: how far they can be taken at their word. Lower is better.

The expected calibration error is that of Guo et al. (ICML 2017, equation 3) with 15 bins: the probability of the
predicted class falls in one of 15 bins of equal width, each open below and closed above (0 belongs to the first), and
the error is the mean over the bins, weighted by their samples, of the distance between mean probability and fraction
right. In a multi-label task each label is binned by its own probability against how often it is present, from 0 to 1,
and the error is the mean over the labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn import metrics as sk

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.scores import BoolArray, FloatArray, IntArray, Scores

BINS = 15
"""Bins of the expected calibration error and of reliability curves."""


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """Probabilities against what happened, in the K bins that hold a sample, in ascending order.

    Attributes:
        probability: mean probability of a bin's samples (K,).
        observed: fraction of them in which the event happened (K,).
        count: how many they are (K,).
    """

    probability: FloatArray
    observed: FloatArray
    count: IntArray


def brier_score(scores: Scores) -> float:
    """Return the mean squared distance of probabilities and truth (Brier 1950).

    Binary: of the probability of class 1, from 0 to 1. Multi-class and ordinal: summed over the classes, from 0 to 2.
    Multi-label: averaged over the labels, from 0 to 1.
    """
    per_class = class_brier_score(scores)
    if scores.task == "binary":
        return per_class[1]
    return float(np.mean(per_class) if scores.task == "multi-label" else np.sum(per_class))


def class_brier_score(scores: Scores) -> list[float]:
    """Return the mean squared distance of each class's probability from 1 where it is true and 0 elsewhere."""
    return np.mean((scores.probabilities - scores.indicators) ** 2, axis=0).tolist()


def expected_calibration_error(scores: Scores) -> float:
    """Return the expected calibration error as this module defines it, from 0 to 1."""
    events, happened = list_calibration_events(scores)
    return float(np.mean([_gap(trace_reliability_curve(*column)) for column in zip(events.T, happened.T, strict=True)]))


def log_loss(scores: Scores) -> float:
    """Return the mean negative log likelihood in nats; of a multi-label task, the mean over samples and labels.

    Rows are divided by their sum in float64 first, which takes float32 rounding out. Probabilities are clipped at the
    float64 epsilon, so that a certain mistake costs 36 and not infinity.
    """
    values = scores.probabilities
    if scores.task == "multi-label":
        columns = zip(scores.labels.T, values.T, strict=True)
        return float(np.mean([sk.log_loss(truth, column, labels=[0, 1]) for truth, column in columns]))
    normalized = values / values.sum(axis=1, keepdims=True)
    return float(sk.log_loss(scores.labels, normalized, labels=range(scores.num_classes)))


def list_calibration_events(scores: Scores) -> tuple[FloatArray, BoolArray]:
    """Return the probabilities whose calibration counts, and whether what they speak of happened.

    Returns:
        Two arrays (B, 1): the predicted class's probability, and whether it is right. Of a multi-label task two
        arrays (B, C): each label's probability, and whether it is present.
    """
    if scores.task == "multi-label":
        return scores.probabilities, scores.labels == 1
    predicted = scores.predicted[:, None]
    return np.take_along_axis(scores.probabilities, predicted, axis=1), predicted == scores.labels[:, None]


def trace_reliability_curve(probabilities: ArrayLike, happened: ArrayLike) -> ReliabilityCurve:
    """Compute mean probability and observed frequency in each of `BINS` bins of equal width, but the empty ones.

    Args:
        probabilities: of one event (B,), in [0, 1]: a column of `list_calibration_events`, or of one class.
        happened: whether it happened (B,).

    Raises:
        UserError: for shapes that differ, no sample, or probabilities outside [0, 1].
    """
    values, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(happened, dtype=bool)
    if values.ndim != 1 or values.shape != truth.shape or not len(values):
        raise UserError(f"probabilities {values.shape} and outcomes {truth.shape} are not two columns of equal length")
    if not ((values >= 0) & (values <= 1)).all():
        raise UserError(f"probabilities range from {values.min():g} to {values.max():g}, outside [0, 1]")
    bins = number_bins(values)
    counts = np.bincount(bins, minlength=BINS)
    sums = (np.bincount(bins, weights=column, minlength=BINS) for column in (values, truth))
    filled = counts > 0
    probability, observed = (total[filled] / counts[filled] for total in sums)
    return ReliabilityCurve(probability, observed, counts[filled])


def number_bins(probabilities: FloatArray) -> IntArray:
    """Return the bin of each probability, 0 to `BINS` - 1; a bin is open below and closed above."""
    return np.clip(np.ceil(probabilities * BINS) - 1, 0, BINS - 1).astype(np.int64)


def _gap(curve: ReliabilityCurve) -> float:
    return float(np.average(np.abs(curve.probability - curve.observed), weights=curve.count))
