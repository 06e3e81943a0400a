"""Thresholds for the score of a class or a label: chosen on validation images, then applied to others.

A class is predicted where its score exceeds the threshold, as `THRESHOLD` is used in
`medmamba_monai.evaluation.scores`. A binary task has the probability of class 1 as its score, a multi-label task
that of each label on its own. Thresholds lie halfway between two neighbouring scores, the place that other images are
least likely to upset, or at the highest score, where nothing is predicted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.scores import BoolArray, FloatArray, IntArray

RATES = ("sensitivity", "specificity", "ppv", "npv")
"""What is reported of an operating point."""


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold does on P positive and N negative images.

    Attributes:
        threshold: positive is predicted where the score exceeds it.
        tp: true positives, of P.
        fp: false positives, of N.
        fn: false negatives, of P.
        tn: true negatives, of N.
    """

    threshold: float
    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def sensitivity(self) -> float:
        """Fraction of the positive images that are found."""
        return self.tp / (self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """Fraction of the negative images that are left alone."""
        return self.tn / (self.tn + self.fp)

    @property
    def ppv(self) -> float | None:
        """Fraction of positive predictions that are right; None without one. It holds for this share of positives."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def npv(self) -> float | None:
        """Fraction of negative predictions that are right; None without one. It holds for this share of positives."""
        return self.tn / (self.tn + self.fn) if self.tn + self.fn else None

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN)."""
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn)

    @property
    def accuracy(self) -> float:
        """Fraction of all images that are right."""
        return (self.tp + self.tn) / (self.tp + self.fp + self.fn + self.tn)


def apply_threshold(scores: ArrayLike, positive: ArrayLike, threshold: float) -> OperatingPoint:
    """Count what a threshold does.

    Args:
        scores: of one class, (B,).
        positive: whether each image is of that class, (B,) of 0 and 1.
        threshold: positive is predicted where the score exceeds it.

    Raises:
        UserError: for input that does not fit, no positive or no negative image, or a threshold that is no number.
    """
    values, truth = check_ranking(scores, positive)
    if not math.isfinite(threshold):
        raise UserError(f"threshold is {threshold}: give a number")
    claim = values > threshold
    cells = (truth & claim, ~truth & claim, truth & ~claim, ~truth & ~claim)
    return OperatingPoint(float(threshold), *(int(cell.sum()) for cell in cells))


def choose_youden_threshold(scores: ArrayLike, positive: ArrayLike) -> float:
    """Find the threshold with the largest sensitivity + specificity - 1 (Youden 1950), the lowest among equals.

    Raises:
        UserError: for input that does not fit, no positive or no negative image.
    """
    values, truth = check_ranking(scores, positive)
    thresholds, tp, fp = _candidates(values, truth)
    # Whole numbers, so that equals are equal.
    return float(thresholds[np.argmax(tp * np.sum(~truth) - fp * np.sum(truth))])


def choose_threshold_at_specificity(scores: ArrayLike, positive: ArrayLike, specificity: float = 0.95) -> float:
    """Find the most sensitive threshold with at least this specificity, of equally sensitive ones the most specific.

    Raises:
        UserError: for input that does not fit, no positive or no negative image, or a specificity outside of (0, 1].
    """
    if not 0 < specificity <= 1:
        raise UserError(f"specificity is {specificity}: give a fraction above 0 and at most 1, such as 0.95")
    values, truth = check_ranking(scores, positive)
    thresholds, tp, fp = _candidates(values, truth)
    negatives = np.sum(~truth)
    allowed = np.flatnonzero((negatives - fp) / negatives >= specificity)
    best = max(allowed, key=lambda index: (tp[index], -fp[index]))
    return float(thresholds[best])


def check_ranking(scores: ArrayLike, positive: ArrayLike) -> tuple[FloatArray, BoolArray]:
    """Check the scores of one class, any finite numbers, and which images are of it.

    Returns:
        Scores (B,) in float64 and truth (B,).

    Raises:
        UserError: naming what does not fit, or no positive or no negative image.
    """
    values, truth = np.asarray(scores).astype(np.float64), np.asarray(positive)
    if values.ndim != 1 or truth.shape != values.shape:
        raise UserError(f"scores {values.shape} and positive {truth.shape} are not two columns of equal length")
    if not np.isfinite(values).all():
        raise UserError(f"{np.sum(~np.isfinite(values))} of {len(values)} scores are NaN or infinite")
    if not np.isin(truth, (0, 1)).all():
        raise UserError(f"positive holds values such as {truth[~np.isin(truth, (0, 1))][0]}: give 0 and 1 only")
    truth = truth.astype(bool)
    if truth.all() or not truth.any():
        found = "positive" if len(truth) and truth.all() else "negative"
        raise UserError(f"all {len(truth)} images are {found}: a threshold or an AUC needs positive and negative ones")
    return values, truth


def _candidates(values: FloatArray, truth: BoolArray) -> tuple[FloatArray, IntArray, IntArray]:
    """Thresholds above each distinct score, ascending, with their true and false positives.

    The one below all scores is left out: predicting everything is never better than predicting nothing.
    """
    distinct, place = np.unique(values, return_inverse=True)
    middle = distinct[:-1] + np.diff(distinct) / 2
    # Between two neighbours of the number line there is no middle.
    between = np.where(middle < distinct[1:], middle, distinct[:-1])
    at_each = (np.bincount(place, weights=chosen, minlength=len(distinct)) for chosen in (truth, ~truth))
    tp, fp = (np.sum(found) - np.cumsum(found) for found in at_each)
    return np.append(between, distinct[-1]), tp.astype(np.int64), fp.astype(np.int64)
