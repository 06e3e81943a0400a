"""The numbers of a finished cross-validation, from its predictions alone: no network, no images, no training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.review import review_class_metrics, review_metrics
from medmamba_monai.evaluation.predictions import Predictions, combine, pool
from medmamba_monai.evaluation.statistics.bootstrap import MetricIntervals, bootstrap_intervals
from medmamba_monai.evaluation.statistics.operating_points import OperatingPoints, fold_operating_points
from medmamba_monai.evaluation.statistics.temperature_scaling import TemperatureScaling, scale_folds

RESAMPLES = 2000
"""Resamples of a bootstrap where nobody says how many."""

MIN_RESAMPLES = 100


@dataclass(frozen=True)
class Review:
    """What is known of a cross-validation.

    Attributes:
        task: of the dataset.
        class_names: for readers, in label order.
        combination: ``ensemble``: mean probabilities of the folds on one test set; ``pooled``: joined test parts.
        tested: test predictions of each finished fold.
        combined: those of the combination.
        fold_metrics: `review_metrics` of each fold's test part.
        fold_intervals: their intervals.
        metrics: `review_metrics` of the combination.
        class_metrics: `review_class_metrics` of the combination.
        intervals: of both.
        validation: `review_metrics` of the validation parts of all folds together, each predicted by its own fold's
            model, where these are the folds themselves; they are optimistic, as they chose its epoch.
        operating_points: at thresholds that validation chose; of tasks that have a positive class or labels.
        calibration: before and after a temperature that validation chose.
    """

    task: str
    class_names: Sequence[str]
    combination: str
    tested: Mapping[int, Predictions]
    combined: Predictions
    fold_metrics: Mapping[int, Mapping[str, float]]
    fold_intervals: Mapping[int, MetricIntervals]
    metrics: Mapping[str, float]
    class_metrics: Mapping[str, Sequence[float]]
    intervals: MetricIntervals
    validation: Mapping[str, float] | None
    operating_points: OperatingPoints | None
    calibration: TemperatureScaling


def review_folds(
    folds: Mapping[int, Predictions],
    task: str,
    class_names: Sequence[str],
    combination: str = "ensemble",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Review:
    """Compute everything.

    Args:
        folds: the predictions of each finished fold, both its parts, by its number.
        task: of the dataset, see `medmamba_monai.evaluation.metrics.paper`.
        class_names: C names in label order.
        combination: ``ensemble`` where every fold was tested on the same images, else ``pooled``.
        resamples: of each bootstrap.
        seed: of the resampling.

    Raises:
        UserError: there are no folds, they do not fit each other or the task, or a class has no image.
    """
    if not folds:
        raise UserError("a review needs at least one finished fold")
    tested = {fold: predictions.select("test") for fold, predictions in sorted(folds.items())}
    validated = {fold: predictions.select("validation") for fold, predictions in sorted(folds.items())}
    combined = combine(list(tested.values()), combination)
    return Review(
        task=task,
        class_names=tuple(class_names),
        combination=combination,
        tested=tested,
        combined=combined,
        fold_metrics={fold: _metrics(part, task) for fold, part in tested.items()},
        fold_intervals={fold: _intervals(part, task, resamples, seed) for fold, part in tested.items()},
        metrics=_metrics(combined, task),
        class_metrics=review_class_metrics(combined.probabilities, combined.labels, task),
        intervals=_intervals(combined, task, resamples, seed),
        validation=_metrics(pool(list(validated.values())), task) if combination == "ensemble" else None,
        operating_points=fold_operating_points(tested, validated, combined, task, combination),
        calibration=scale_folds(tested, validated, combined, task, combination),
    )


def check_bootstrap(resamples: int, seed: int) -> None:
    """Check the options of a bootstrap before anything else is computed.

    Raises:
        UserError: they are no whole numbers, or too small.
    """
    for name, value, smallest in (("resamples", resamples, MIN_RESAMPLES), ("seed", seed, 0)):
        if type(value) is not int or value < smallest:
            raise UserError(f"the bootstrap's {name} is {value!r}: give a whole number from {smallest}")


def _intervals(predictions: Predictions, task: str, resamples: int, seed: int) -> MetricIntervals:
    return bootstrap_intervals(
        predictions.probabilities, predictions.labels, task, predictions.groups, resamples=resamples, seed=seed
    )


def _metrics(predictions: Predictions, task: str) -> dict[str, float]:
    return review_metrics(predictions.probabilities, predictions.labels, task)
