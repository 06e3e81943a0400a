"""Temperature scaling (Guo et al., ICML 2017, section 4.2): fitted on validation, judged on test.

The logits are the log-probabilities, which differ from the network's by a constant that softmax drops; of a multi-label
task the log-odds. Probabilities are clipped at the float64 epsilon.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, softmax

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.calibration import (
    ReliabilityCurve,
    list_calibration_events,
    trace_reliability_curve,
)
from medmamba_monai.evaluation.metrics.compute import compute_metrics
from medmamba_monai.evaluation.predictions import Combination, Predictions, combine
from medmamba_monai.evaluation.scores import AnyScores, FloatArray, Scores, Task

CALIBRATION_METRICS = ("ece", "brier", "log_loss")
"""Metrics that tell how far probabilities can be taken at their word; lower is better."""

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 20.0
"""`fit_temperature` looks no further: a best value outside of these is no calibration, but too few or useless data."""

_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Temperature:
    """What `fit_temperature` found.

    Attributes:
        value: the temperature, by which logits are divided: above 1 for an overconfident model.
        at_bound: whether the best value lies outside the bounds, so that `value` is only the nearest bound.
    """

    value: float
    at_bound: bool


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
    combination: Combination,
) -> TemperatureScaling:
    """Fit each fold's temperature on its validation part, apply it to its test part, and combine these.

    Args:
        tested: test predictions by fold.
        validated: validation predictions by fold.
        combined: the combination of the former.
        combination: ``ensemble`` or ``pooled``.
    """
    temperatures = {fold: fit_temperature(part) for fold, part in validated.items()}
    after = combine([apply_temperature(part, temperatures[fold].value) for fold, part in tested.items()], combination)
    return TemperatureScaling(
        temperatures=temperatures,
        before=compute_metrics(combined, CALIBRATION_METRICS),
        after=compute_metrics(after, CALIBRATION_METRICS),
        curve_before=_trace_reliability(combined),
        curve_after=_trace_reliability(after),
    )


def fit_temperature(scores: Scores) -> Temperature:
    """Find the temperature that minimises the log loss.

    The log loss is convex in the inverse temperature: the zero of its derivative is the one minimum.

    Args:
        scores: of samples that the model was not trained on and is not tested on.
    """
    logits = _to_logits(scores.probabilities, scores.task)
    lowest, highest = 1 / HIGHEST_TEMPERATURE, 1 / LOWEST_TEMPERATURE

    def slope(inverse: float) -> float:
        return float(np.mean((_to_probabilities(logits * inverse, scores.task) - scores.indicators) * logits))

    if slope(lowest) >= 0:
        return Temperature(HIGHEST_TEMPERATURE, at_bound=True)
    if slope(highest) <= 0:
        return Temperature(LOWEST_TEMPERATURE, at_bound=True)
    return Temperature(1 / brentq(slope, lowest, highest, xtol=1e-12), at_bound=False)


def apply_temperature(scores: AnyScores, temperature: float) -> AnyScores:
    """Divide the logits by a temperature; the predicted classes stay the same.

    Raises:
        UserError: a temperature that is not a positive number.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise UserError(f"temperature is {temperature}: give a positive number")
    scaled = _to_probabilities(_to_logits(scores.probabilities, scores.task) / temperature, scores.task)
    return scores.change_checked(probabilities=scaled)


def _trace_reliability(predictions: Predictions) -> ReliabilityCurve:
    events, happened = list_calibration_events(predictions)
    return trace_reliability_curve(events.ravel(), happened.ravel())


def _to_logits(probabilities: FloatArray, task: Task) -> FloatArray:
    clipped = np.clip(probabilities, _EPSILON, 1 - _EPSILON)
    return logit(clipped) if task == "multi-label" else np.log(clipped)


def _to_probabilities(logits: FloatArray, task: Task) -> FloatArray:
    return expit(logits) if task == "multi-label" else softmax(logits, axis=1)
