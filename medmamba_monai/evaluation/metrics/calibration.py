"""How far probabilities can be taken at their word, and the temperature that brings them closer.

The expected calibration error is that of Guo et al. (ICML 2017, equation 3) with 15 bins: the probability of the
predicted class falls in one of 15 bins of equal width, each open below and closed above (0 belongs to the first), and
the error is the mean over the bins, weighted by their samples, of the distance between mean probability and fraction
right. In a multi-label task each label is binned by its own probability against how often it is present, from 0 to 1,
and the error is the mean over the labels.

Tasks, shapes and predicted classes are those of `medmamba_monai.evaluation.metrics.paper`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit, softmax

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.paper import (
    FloatArray,
    IntArray,
    check_probabilities,
    check_scores,
    predicted_labels,
)

BINS = 15
"""Bins of the expected calibration error and of reliability curves."""

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 20.0
"""`fit_temperature` looks no further: a best value outside of these is no calibration, but too few or useless data."""

_EPSILON = float(np.finfo(np.float64).eps)


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


@dataclass(frozen=True)
class Temperature:
    """What `fit_temperature` found.

    Attributes:
        value: the temperature, by which logits are divided: above 1 for an overconfident model.
        at_bound: whether the best value lies outside the bounds, so that `value` is only the nearest bound.
    """

    value: float
    at_bound: bool


def brier_score(probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class") -> float:
    """Mean squared distance of probabilities and truth (Brier 1950).

    Binary: of the probability of class 1, from 0 to 1. Multi-class and ordinal: summed over the classes, from 0 to 2.
    Multi-label: averaged over the labels, from 0 to 1.

    Raises:
        UserError: for input that does not fit the task.
    """
    per_class = class_brier_scores(probabilities, labels, task)
    if task == "binary":
        return per_class[1]
    return float(np.mean(per_class) if task == "multi-label" else np.sum(per_class))


def class_brier_scores(probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class") -> list[float]:
    """Mean squared distance of each class's probability from 1 where it is true and 0 elsewhere: C floats in [0, 1].

    Raises:
        UserError: for input that does not fit the task.
    """
    scores, truth = check_scores(probabilities, labels, task)
    return np.mean((scores - indicators(truth, scores.shape[1])) ** 2, axis=0).tolist()


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class") -> float:
    """The expected calibration error as this module defines it, from 0 to 1.

    Raises:
        UserError: for input that does not fit the task.
    """
    events, happened = calibration_events(probabilities, labels, task)
    return float(np.mean([_gap(reliability_curve(*column)) for column in zip(events.T, happened.T, strict=True)]))


def calibration_events(
    probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class"
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """The probabilities whose calibration counts, and whether what they speak of happened.

    Returns:
        Two arrays (B, 1): the predicted class's probability, and whether it is right. Of a multi-label task two
        arrays (B, C): each label's probability, and whether it is present.

    Raises:
        UserError: for input that does not fit the task.
    """
    scores, truth = check_scores(probabilities, labels, task)
    if task == "multi-label":
        return scores, truth == 1
    predicted = predicted_labels(scores, task)[:, None]
    return np.take_along_axis(scores, predicted, axis=1), predicted == truth[:, None]


def reliability_curve(probabilities: ArrayLike, happened: ArrayLike) -> ReliabilityCurve:
    """Mean probability and observed frequency in each of `BINS` bins of equal width; empty bins are left out.

    Args:
        probabilities: of one event (B,), in [0, 1]: a column of `calibration_events`, or of one class.
        happened: whether it happened (B,).

    Raises:
        UserError: for shapes that differ, no sample, or probabilities outside [0, 1].
    """
    values, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(happened, dtype=bool)
    if values.ndim != 1 or values.shape != truth.shape or not len(values):
        raise UserError(f"probabilities {values.shape} and outcomes {truth.shape} are not two columns of equal length")
    if not ((values >= 0) & (values <= 1)).all():
        raise UserError(f"probabilities range from {values.min():g} to {values.max():g}, outside [0, 1]")
    bins = bin_numbers(values)
    counts = np.bincount(bins, minlength=BINS)
    sums = (np.bincount(bins, weights=column, minlength=BINS) for column in (values, truth))
    filled = counts > 0
    probability, observed = (total[filled] / counts[filled] for total in sums)
    return ReliabilityCurve(probability, observed, counts[filled])


def bin_numbers(probabilities: FloatArray) -> IntArray:
    """The bin of each probability, 0 to `BINS` - 1; a bin is open below and closed above."""
    return np.clip(np.ceil(probabilities * BINS) - 1, 0, BINS - 1).astype(np.int64)


def fit_temperature(probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class") -> Temperature:
    """Find the temperature that minimises the log loss (Guo et al. 2017, section 4.2).

    The logits are the log-probabilities, which differ from the network's by a constant that softmax drops; of a
    multi-label task the log-odds. Probabilities are clipped at the float64 epsilon. The log loss is convex in the
    inverse temperature: the zero of its derivative is the one minimum.

    Args:
        probabilities: scores of B samples that the model was not trained on and is not tested on.
        labels: their true classes.
        task: one of `medmamba_monai.evaluation.metrics.paper.TASKS`.

    Raises:
        UserError: for input that does not fit the task.
    """
    scores, truth = check_scores(probabilities, labels, task)
    logits, target = _logits(scores, task), indicators(truth, scores.shape[1])
    lowest, highest = 1 / HIGHEST_TEMPERATURE, 1 / LOWEST_TEMPERATURE

    def slope(inverse: float) -> float:
        return float(np.mean((_probabilities(logits * inverse, task) - target) * logits))

    if slope(lowest) >= 0:
        return Temperature(HIGHEST_TEMPERATURE, at_bound=True)
    if slope(highest) <= 0:
        return Temperature(LOWEST_TEMPERATURE, at_bound=True)
    return Temperature(1 / brentq(slope, lowest, highest, xtol=1e-12), at_bound=False)


def apply_temperature(probabilities: ArrayLike, temperature: float, task: str = "multi-class") -> FloatArray:
    """Divide the logits by a temperature: probabilities (B, C) in float64, whose predicted classes stay the same.

    Raises:
        UserError: for input that does not fit the task, or a temperature that is not a positive number.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise UserError(f"temperature is {temperature}: give a positive number")
    return _probabilities(_logits(check_probabilities(probabilities, task), task) / temperature, task)


def indicators(truth: IntArray, num_classes: int) -> IntArray:
    """Labels as zeros and ones (B, C), whatever the task."""
    return truth if truth.ndim == 2 else (truth[:, None] == np.arange(num_classes)).astype(np.int64)


def _gap(curve: ReliabilityCurve) -> float:
    return float(np.average(np.abs(curve.probability - curve.observed), weights=curve.count))


def _logits(scores: FloatArray, task: str) -> FloatArray:
    clipped = np.clip(scores, _EPSILON, 1 - _EPSILON)
    return logit(clipped) if task == "multi-label" else np.log(clipped)


def _probabilities(logits: FloatArray, task: str) -> FloatArray:
    return expit(logits) if task == "multi-label" else softmax(logits, axis=1)
