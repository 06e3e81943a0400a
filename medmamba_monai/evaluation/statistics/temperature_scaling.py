"""Temperature scaling of a cross-validation: each fold's temperature from its validation, judged on its test part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from medmamba_monai.evaluation.metrics.calibration import (
    ReliabilityCurve,
    Temperature,
    apply_temperature,
    brier_score,
    calibration_events,
    expected_calibration_error,
    fit_temperature,
    reliability_curve,
)
from medmamba_monai.evaluation.metrics.paper import log_loss
from medmamba_monai.evaluation.predictions import Predictions, combine

_MEASURES = {"ece": expected_calibration_error, "brier": brier_score, "log_loss": log_loss}

CALIBRATION_METRICS = tuple(_MEASURES)
"""Those of `review_metrics` that tell how far probabilities can be taken at their word; lower is better."""


@dataclass(frozen=True)
class TemperatureScaling:
    """What temperature scaling does to the combination of the folds.

    Attributes:
        temperatures: of each fold, from its validation part alone.
        before: `CALIBRATION_METRICS` of the combination as it is.
        after: those of the combination of the scaled folds.
        curve_before: reliability as it is; of a multi-label task over all labels together.
        curve_after: after scaling.
    """

    temperatures: Mapping[int, Temperature]
    before: Mapping[str, float]
    after: Mapping[str, float]
    curve_before: ReliabilityCurve
    curve_after: ReliabilityCurve


def scale_folds(
    tested: Mapping[int, Predictions],
    validated: Mapping[int, Predictions],
    combined: Predictions,
    task: str,
    combination: str,
) -> TemperatureScaling:
    """Fit each fold's temperature on its validation part, apply it to its test part, and combine these.

    Args:
        tested: test predictions by fold.
        validated: validation predictions by fold.
        combined: the combination of the former.
        task: of the dataset.
        combination: ``ensemble`` or ``pooled``.
    """
    temperatures = {fold: fit_temperature(part.probabilities, part.labels, task) for fold, part in validated.items()}
    scaled = [
        replace(part, probabilities=apply_temperature(part.probabilities, temperatures[fold].value, task))
        for fold, part in tested.items()
    ]
    after = combine(scaled, combination)
    return TemperatureScaling(
        temperatures=temperatures,
        before=_calibration(combined, task),
        after=_calibration(after, task),
        curve_before=_curve(combined, task),
        curve_after=_curve(after, task),
    )


def _calibration(predictions: Predictions, task: str) -> dict[str, float]:
    scores, labels = predictions.probabilities, predictions.labels
    return {name: measure(scores, labels, task) for name, measure in _MEASURES.items()}


def _curve(predictions: Predictions, task: str) -> ReliabilityCurve:
    events, happened = calibration_events(predictions.probabilities, predictions.labels, task)
    return reliability_curve(events.ravel(), happened.ravel())
