"""Sensitivity and specificity at thresholds that validation chose: of a binary task, or of each label of several.

Two thresholds are taken: the one with the highest Youden index (sensitivity + specificity - 1), and the lowest with a
specificity of 95 %. A fold's are chosen on its validation part and used on its test part. Those of an ensemble are
chosen on the validation parts of all folds together, each predicted by its own fold's model, as no image was left out
of the training of all; where test parts are pooled, each keeps the thresholds of its fold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medmamba_monai.evaluation.predictions import Combination, Predictions, pool
from medmamba_monai.evaluation.scores import FloatArray, IntArray
from medmamba_monai.evaluation.statistics.thresholds import (
    OperatingPoint,
    apply_threshold,
    choose_threshold_at_specificity,
    choose_youden_threshold,
)

SPECIFICITY = 0.95
"""The specificity at which a sensitivity is reported."""

RULES: dict[str, Callable[[FloatArray, IntArray], float]] = {
    "highest Youden index": choose_youden_threshold,
    f"specificity {SPECIFICITY:.0%}": lambda scores, positive: choose_threshold_at_specificity(
        scores, positive, SPECIFICITY
    ),
}
"""How validation chooses a threshold, by what a reader is told."""


@dataclass(frozen=True)
class OperatingPoints:
    """Operating points by rule; each is a list, of one point for a binary task and one for each label otherwise.

    Attributes:
        folds: of each fold's test part, at its own thresholds.
        combined: of the combination.
        thresholds: of the combination; None where each fold keeps its own.
    """

    folds: Mapping[int, Mapping[str, Sequence[OperatingPoint]]]
    combined: Mapping[str, Sequence[OperatingPoint]]
    thresholds: Mapping[str, Sequence[float]] | None


def find_operating_points(
    tested: Mapping[int, Predictions],
    validated: Mapping[int, Predictions],
    combined: Predictions,
    combination: Combination,
) -> OperatingPoints | None:
    """Choose thresholds on validation and use them on test, in each fold and for the combination.

    Args:
        tested: test predictions by fold.
        validated: validation predictions by fold.
        combined: the combination of the former.
        combination: ``ensemble`` or ``pooled``.

    Returns:
        None of a task whose classes have no positive one.
    """
    if combined.task not in ("binary", "multi-label"):
        return None
    chosen = {fold: _choose_thresholds(part) for fold, part in validated.items()}
    folds = {fold: _count_points(part, chosen[fold]) for fold, part in tested.items()}
    if combination == "ensemble":
        thresholds = _choose_thresholds(pool(list(validated.values())))
        return OperatingPoints(folds, _count_points(combined, thresholds), thresholds)
    return OperatingPoints(folds, _count_pooled_points(tested, chosen), None)


def _list_columns(predictions: Predictions) -> list[tuple[FloatArray, IntArray]]:
    """Return scores and truth of the positive class, or of each label."""
    if predictions.task == "multi-label":
        return list(zip(predictions.probabilities.T, predictions.labels.T, strict=True))
    return [(predictions.probabilities[:, 1], predictions.labels)]


def _choose_thresholds(validated: Predictions) -> dict[str, list[float]]:
    return {name: [rule(*column) for column in _list_columns(validated)] for name, rule in RULES.items()}


def _count_points(tested: Predictions, thresholds: Mapping[str, Sequence[float]]) -> dict[str, list[OperatingPoint]]:
    return {
        name: [apply_threshold(*column, value) for column, value in zip(_list_columns(tested), values, strict=True)]
        for name, values in thresholds.items()
    }


def _count_pooled_points(
    tested: Mapping[int, Predictions], chosen: Mapping[int, Mapping[str, Sequence[float]]]
) -> dict[str, list[OperatingPoint]]:
    """Count over all folds: a score exceeds its fold's threshold where their difference exceeds 0, that of all."""
    points: dict[str, list[OperatingPoint]] = {}
    for name in RULES:
        excess: list[list[FloatArray]] = []
        truth: list[list[IntArray]] = []
        for fold, part in tested.items():
            columns = list(zip(_list_columns(part), chosen[fold][name], strict=True))
            excess.append([scores - threshold for (scores, _), threshold in columns])
            truth.append([positive for (_, positive), _ in columns])
        joined = zip(zip(*excess, strict=True), zip(*truth, strict=True), strict=True)
        points[name] = [apply_threshold(np.concatenate(a), np.concatenate(b), 0.0) for a, b in joined]
    return points
