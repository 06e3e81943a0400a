"""Tests of differences: between two models on the same images, and between two trainings over several folds.

`delong` compares areas under ROC curves, `mcnemar` right and wrong answers, `corrected_resampled_t_test` the scores of
cross-validation; `holm` corrects several of their p-values. All p-values are two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import expit, logit

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.scores import BoolArray, FloatArray
from medmamba_monai.evaluation.statistics.resampling import Interval, Units
from medmamba_monai.evaluation.statistics.thresholds import check_ranking

LEVEL = 0.95
"""The confidence level of every interval here."""

_Z = float(stats.norm.ppf((1 + LEVEL) / 2))
_ROUNDING = 1e-12


@dataclass(frozen=True)
class AreaInterval:
    """The area under one ROC curve.

    Attributes:
        auc: the area, from 0 to 1.
        standard_error: of the area.
        interval: its interval, or the reason in words why there is none.
    """

    auc: float
    standard_error: float
    interval: Interval | str


@dataclass(frozen=True)
class AreaComparison:
    """The areas under two ROC curves on the same images.

    Attributes:
        auc_a: area of model a.
        auc_b: area of model b.
        difference: `auc_a` - `auc_b`.
        standard_error: of the difference.
        z: the difference in standard errors; None of a difference without variance.
        p_value: two-sided, of the standard normal distribution; None where `z` is None.
        interval: of the difference, or the reason in words why there is none.
    """

    auc_a: float
    auc_b: float
    difference: float
    standard_error: float
    z: float | None
    p_value: float | None
    interval: Interval | str


@dataclass(frozen=True)
class DiscordantPairs:
    """McNemar's test.

    Attributes:
        only_a: images that only model a has right (b in the literature).
        only_b: images that only model b has right (c in the literature).
        p_value: exact and two-sided.
    """

    only_a: int
    only_b: int
    p_value: float


@dataclass(frozen=True)
class FoldDifference:
    """The corrected resampled t-test.

    Attributes:
        mean: mean difference over the folds.
        t: the mean in corrected standard errors; None of differences that are all the same but not 0.
        degrees_of_freedom: folds - 1.
        p_value: two-sided; None where `t` is None.
        interval: of the mean difference, or the reason in words why there is none.
    """

    mean: float
    t: float | None
    degrees_of_freedom: int
    p_value: float | None
    interval: Interval | str


def delong(
    scores_a: ArrayLike, scores_b: ArrayLike, positive: ArrayLike, groups: Sequence[str] | None = None
) -> AreaComparison:
    """Compare the areas under two ROC curves of the same images (DeLong, DeLong & Clarke-Pearson 1988).

    Placements come from midranks (Sun & Xu 2014), in B log B steps. With groups the variance is that of Obuchowski
    (1997), for images that resemble each other within a group; it equals DeLong's where each image is its own group.
    Identical scores, and others whose areas do not vary and are equal, have z 0 and p 1.

    Args:
        scores_a: model a's scores of one class, (B,), any finite numbers.
        scores_b: model b's scores of the same images, in the same order.
        positive: whether each image is of that class, (B,) of 0 and 1.
        groups: the group of each image, such as its patient.

    Raises:
        UserError: for input that does not fit, or fewer than two groups (images) with positive or with negative images.
    """
    first, second = _Placements.of(scores_a, positive), _Placements.of(scores_b, positive)
    difference = first.auc - second.auc
    error = _standard_error(first.deviations - second.deviations, first.positive, groups)
    if error > _ROUNDING:
        z, half = difference / error, _Z * error
        p_value, interval = 2 * float(stats.norm.sf(abs(z))), Interval(difference - half, difference + half)
        return AreaComparison(first.auc, second.auc, difference, error, z, p_value, interval)
    reason = "the difference does not vary between images: its uncertainty cannot be estimated"
    no_z, no_p = (0.0, 1.0) if abs(difference) <= _ROUNDING else (None, None)
    return AreaComparison(first.auc, second.auc, difference, error, no_z, no_p, reason)


def delong_interval(scores: ArrayLike, positive: ArrayLike, groups: Sequence[str] | None = None) -> AreaInterval:
    """Compute DeLong's 95 % interval of one area, symmetric on the logit scale so that it stays between 0 and 1.

    Args:
        scores: of one class, (B,), any finite numbers.
        positive: whether each image is of that class, (B,) of 0 and 1.
        groups: the group of each image, such as its patient; see `delong`.

    Raises:
        UserError: for input that does not fit, or fewer than two groups (images) with positive or with negative images.
    """
    area = _Placements.of(scores, positive)
    error = _standard_error(area.deviations, area.positive, groups)
    if not error > _ROUNDING:
        return AreaInterval(area.auc, error, f"the area is {area.auc:g} without variance: its uncertainty is not known")
    half = _Z * error / (area.auc * (1 - area.auc))
    low, high = expit(logit(area.auc) - half), expit(logit(area.auc) + half)
    return AreaInterval(area.auc, error, Interval(float(low), float(high)))


def mcnemar(correct_a: ArrayLike, correct_b: ArrayLike) -> DiscordantPairs:
    """Test whether two models are right equally often on the same images (McNemar 1947), by the exact binomial test.

    The images must be independent: several of one patient make p too small. Models that are never right alone have
    p 1.

    Args:
        correct_a: whether model a is right on each image, (B,) of 0 and 1.
        correct_b: the same of model b.

    Raises:
        UserError: for input that does not fit.
    """
    first, second = np.asarray(correct_a), np.asarray(correct_b)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise UserError(f"correct_a {first.shape} and correct_b {second.shape} are not two columns of equal length")
    if not np.isin([first, second], (0, 1)).all():
        raise UserError("correct_a and correct_b hold other values than 0 and 1: give whether each image is right")
    only_a, only_b = int(np.sum(first > second)), int(np.sum(first < second))
    p_value = float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return DiscordantPairs(only_a, only_b, p_value)


def corrected_resampled_t_test(differences: ArrayLike, test_to_train_ratio: float) -> FoldDifference:
    """Test whether the mean difference between two methods over n folds is 0 (Nadeau & Bengio 2003, section 3.4).

    Trainings share images, so their differences vary less than independent ones: the variance of the mean is taken as
    (1 / n + n_test / n_train) times that of the differences. Differences that are all 0 have t 0 and p 1.

    Args:
        differences: of one metric, method a minus method b, one for each fold (n,).
        test_to_train_ratio: test images of a fold divided by its training images: 1/4 for five folds. 0 gives the
            usual t-test, which is too sure of itself here.

    Raises:
        UserError: fewer than two differences, NaN among them, or a ratio that is negative or no number.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise UserError(f"differences are {values.tolist()}: give two or more finite numbers, one for each fold")
    if not (math.isfinite(test_to_train_ratio) and test_to_train_ratio >= 0):
        raise UserError(f"test_to_train_ratio is {test_to_train_ratio}: give test images / training images of a fold")
    mean, freedom = float(values.mean()), len(values) - 1
    error = math.sqrt((1 / len(values) + test_to_train_ratio) * float(values.var(ddof=1)))
    if error <= _ROUNDING * max(1.0, abs(mean)):
        reason = "the differences are the same in all folds: their uncertainty cannot be estimated"
        no_t, no_p = (0.0, 1.0) if abs(mean) <= _ROUNDING else (None, None)
        return FoldDifference(mean, no_t, freedom, no_p, reason)
    t, half = mean / error, float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    return FoldDifference(mean, t, freedom, 2 * float(stats.t.sf(abs(t), freedom)), Interval(mean - half, mean + half))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm 1979): those at most 0.05 stay significant at 0.05 all together.

    Example:
        >>> [round(p, 4) for p in holm([0.01, 0.04, 0.03, 0.005])]
        [0.03, 0.06, 0.06, 0.02]

    Returns:
        Adjusted p-values in the order given.

    Raises:
        UserError: a value outside of 0 to 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise UserError(f"p-values are {values.tolist()}: give numbers from 0 to 1")
    order = np.argsort(values, kind="stable")
    scaled = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(scaled, 1)
    return adjusted.tolist()


@dataclass(frozen=True, eq=False)
class _Placements:
    """The area of one model, and each image's placement minus it (B,).

    The placement of a positive image is the part of the negative images with a lower score, that of a negative image
    the part of the positive images with a higher score; ties count half.
    """

    auc: float
    deviations: FloatArray
    positive: BoolArray

    @classmethod
    def of(cls, scores: ArrayLike, positive: ArrayLike) -> _Placements:
        values, truth = check_ranking(scores, positive)
        ranks, placements = stats.rankdata(values), np.empty(len(values))
        placements[truth] = (ranks[truth] - stats.rankdata(values[truth])) / np.sum(~truth)
        placements[~truth] = 1 - (ranks[~truth] - stats.rankdata(values[~truth])) / np.sum(truth)
        auc = float(placements[truth].mean())
        return cls(auc, placements - auc, truth)


def _standard_error(deviations: FloatArray, positive: BoolArray, groups: Sequence[str] | None) -> float:
    """Return that of an area, or a difference of areas, from the images' deviations (Obuchowski 1997, section 2)."""
    units = Units.of(len(deviations), groups)
    parts, factors = [], []
    for name, chosen in (("positive", positive), ("negative", ~positive)):
        count = len(np.unique(units.of_image[chosen]))
        if count < 2:
            raise UserError(f"only {count} of the {units.kind} has {name} images: a variance needs two or more")
        parts.append(np.bincount(units.of_image, weights=deviations * chosen, minlength=units.count) / chosen.sum())
        factors.append(count / (count - 1))
    own = sum(factor * np.sum(part**2) for factor, part in zip(factors, parts, strict=True))
    shared = 2 * units.count / (units.count - 1) * np.sum(parts[0] * parts[1])
    # Never negative but for rounding: both factors in `own` are at least that in `shared`.
    return math.sqrt(max(0.0, own + shared))
