"""Confidence intervals of every metric, and of differences between two models, by resampling images or patients.

What is resampled and how intervals are made is told in `medmamba_monai.evaluation.statistics.resampling`; the metrics
are those of `medmamba_monai.evaluation.metrics.catalogue`. The models themselves are taken as given: intervals say what
other images would change, not what another training would.

The expected calibration error is biased: on few images a model looks worse calibrated than it is, and resamples make it
look worse again. Its interval is often missing for that reason, and where there is one for a model that is nearly
calibrated, it is too high; trust it only where the error is far above what chance gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medmamba_monai.core.defaults import RESAMPLES
from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.catalogue import CATALOGUE
from medmamba_monai.evaluation.metrics.compute import WeightedMetrics
from medmamba_monai.evaluation.scores import FloatArray, Scores
from medmamba_monai.evaluation.statistics.resampling import (
    Interval,
    Resampling,
    Units,
    bootstrap_distribution,
    compute_bca_intervals,
)


@dataclass(frozen=True)
class MetricIntervals:
    """The intervals of all metrics.

    Attributes:
        resampling: how they were made.
        metrics: for each of `list_metrics(task)` an interval, or the reason in words why there is none.
        classes: the same for each of `list_class_metrics(task)` and each of the C classes, in their order.
    """

    resampling: Resampling
    metrics: dict[str, Interval | str]
    classes: dict[str, list[Interval | str]]


@dataclass(frozen=True)
class Difference:
    """A metric of model a minus that of model b.

    Attributes:
        value: the difference on all images; NaN where a class is absent from them.
        interval: its interval, or the reason in words why there is none.
        p_value: two-sided; None without an interval, except 1 of models that never differ.
    """

    value: float
    interval: Interval | str
    p_value: float | None


@dataclass(frozen=True)
class PairedDifferences:
    """The differences between two models on the same images.

    Attributes:
        resampling: how intervals were made.
        metrics: the difference of each of `list_metrics(task)`.
    """

    resampling: Resampling
    metrics: dict[str, Difference]


def bootstrap_intervals(
    scores: Scores, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> MetricIntervals:
    """Compute BCa intervals of all metrics of a model, overall and of each class.

    Args:
        scores: of B images, such as `Predictions`; where they know groups, groups are drawn, else images.
        resamples: how many to draw.
        seed: of the draws.
        level: the confidence level.

    Raises:
        UserError: groups without a name, fewer than 100 resamples, or a level outside of 0 to 1.
    """
    return bootstrap_mean_intervals([scores], resamples, seed, level)


def bootstrap_mean_intervals(
    models: Sequence[Scores], resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> MetricIntervals:
    """Compute BCa intervals of the mean of several models' metrics on the same images, as of the models of five folds.

    Args:
        models: each model's scores of the same B images, in the same order.
        resamples: how many to draw.
        seed: of the draws.
        level: the confidence level.

    Raises:
        UserError: no model, models of other images or classes, or what `bootstrap_intervals` raises for.
    """
    metrics = _prepare(models)

    def mean(weights: FloatArray) -> FloatArray:
        return np.mean([metric(weights) for metric in metrics], axis=0)

    units = Units.of(metrics[0].num_images, models[0].groups)
    intervals = compute_bca_intervals(bootstrap_distribution(mean, units, resamples, seed), level)
    found = MetricIntervals(Resampling(level, resamples, seed, units.kind, units.count), {}, {})
    for (name, index), interval in zip(metrics[0].keys, intervals, strict=True):
        if index is None:
            found.metrics[name] = _or_reason(name, interval)
        else:
            found.classes.setdefault(name, []).append(interval)
    return found


def bootstrap_differences(
    first: Scores, second: Scores, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> PairedDifferences:
    """Compare two models on the same images, in the same resamples.

    The p-value is twice the smaller part of the resamples in which the difference is not above 0, or not below it,
    with one resample added to both counts: p = min(1, 2 (1 + min(#{d <= 0}, #{d >= 0})) / (1 + R)) over the R
    resamples that have both models' metric. It cannot be less than 2 / (1 + R). It turns the plain percentile interval
    around, so it may disagree with the BCa interval where a limit is close to 0.

    Args:
        first: model a's scores of B images; where they know groups, groups are drawn, else images.
        second: model b's scores of the same images, in the same order.
        resamples: how many to draw.
        seed: of the draws.
        level: the confidence level of the intervals.

    Raises:
        UserError: models of other images or classes, or what `bootstrap_intervals` raises for.
    """
    metrics_a, metrics_b = _prepare([first, second])
    count = sum(index is None for _, index in metrics_a.keys)

    def difference(weights: FloatArray) -> FloatArray:
        return metrics_a(weights)[:count] - metrics_b(weights)[:count]

    units = Units.of(len(first), first.groups)
    distribution = bootstrap_distribution(difference, units, resamples, seed)
    intervals = compute_bca_intervals(distribution, level)
    found = PairedDifferences(Resampling(level, resamples, seed, units.kind, units.count), {})
    for row, (name, _) in enumerate(metrics_a.keys[:count]):
        interval = _or_reason(name, intervals[row])
        p_value = _p_value(distribution.resampled[row], interval)
        found.metrics[name] = Difference(float(distribution.estimate[row]), interval, p_value)
    return found


def _prepare(models: Sequence[Scores]) -> list[WeightedMetrics]:
    if not models:
        raise UserError("there is no model to evaluate: give each model's scores")
    if len(shapes := {model.num_classes for model in models}) > 1:
        raise UserError(f"models differ in their number of classes: {sorted(shapes)}")
    first = models[0]
    for model in models[1:]:
        if model.task != first.task or not np.array_equal(model.labels, first.labels) or model.groups != first.groups:
            raise UserError("models differ in task, labels or groups: give scores of the same images in the same order")
    return [WeightedMetrics(model) for model in models]


def _or_reason(name: str, interval: Interval | str) -> Interval | str:
    return interval if isinstance(interval, str) else CATALOGUE[name].without_interval or interval


def _p_value(resampled: FloatArray, interval: Interval | str) -> float | None:
    values = resampled[~np.isnan(resampled)]
    if len(values) and not values.any():
        return 1.0
    if isinstance(interval, str):
        return None
    beyond = min(np.sum(values <= 0), np.sum(values >= 0))
    return min(1.0, 2 * (1 + float(beyond)) / (1 + len(values)))
