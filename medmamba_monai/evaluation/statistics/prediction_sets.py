"""Prediction sets of test images, by what validation found: how often they hold the truth, and how large they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from medmamba_monai.evaluation.predictions import Combination, Predictions, align, pool
from medmamba_monai.evaluation.scores import FloatArray
from medmamba_monai.evaluation.statistics.conformal import (
    ConformalPredictor,
    Method,
    find_class_coverage,
    weigh_sets,
)
from medmamba_monai.evaluation.statistics.resampling import (
    Interval,
    Units,
    bootstrap_distribution,
    compute_bca_intervals,
)

KINDS: Mapping[str, tuple[Method, bool]] = {
    "least ambiguous": ("LAC", False),
    "adaptive": ("APS", False),
    "least ambiguous, of each class": ("LAC", True),
}
"""Method and whether the coverage holds for each class, by what a reader is told."""

LEVELS = (0.9, 0.95)
SET_VALUES = ("coverage", "size", "single", "empty")
"""Share of sets that hold the truth, mean number of classes, share of sets of one class, share of empty sets."""


@dataclass(frozen=True, eq=False)
class SetSummary:
    """What is known of the sets of one kind at one level.

    Attributes:
        kind: a key of `KINDS`.
        level: the share that is to hold the truth.
        values: by the names of `SET_VALUES`.
        intervals: of these, or the reasons why there are none.
        class_coverage: share of each class's images whose set holds it (C).
    """

    kind: str
    level: float
    values: Mapping[str, float]
    intervals: Mapping[str, Interval | str]
    class_coverage: Sequence[float]


def find_prediction_sets(
    tested: Mapping[int, Predictions],
    validated: Mapping[int, Predictions],
    combination: Combination,
    resamples: int,
    seed: int,
    confidence: float = 0.95,
) -> list[SetSummary] | None:
    """Judge the sets of all `KINDS` and `LEVELS` on test images.

    An image that every fold's model has seen is judged by all of them beside their own validation images; where test
    parts are pooled, by its own fold alone.

    Args:
        tested: test predictions by fold.
        validated: validation predictions by fold.
        combination: ``ensemble`` or ``pooled``.
        resamples: of the bootstrap over images or groups.
        seed: of the resampling.
        confidence: of the intervals.

    Returns:
        None of a multi-label task.
    """
    first = next(iter(tested.values()))
    if first.task == "multi-label":
        return None
    judged = first if combination == "ensemble" else pool(list(tested.values()))
    units = Units.of(len(judged), judged.groups)
    predictors = {method: ConformalPredictor.fit(validated, method) for method, _ in KINDS.values()}
    found = []
    for kind, (method, by_class) in KINDS.items():
        for level in LEVELS:
            sets = _predict(predictors[method], tested, combination, level, by_class)
            weigh = partial(weigh_sets, sets, judged.labels)
            distribution = bootstrap_distribution(weigh, units, resamples, seed)
            values = dict(zip(SET_VALUES, map(float, distribution.estimate), strict=True))
            intervals = dict(zip(SET_VALUES, compute_bca_intervals(distribution, confidence), strict=True))
            found.append(SetSummary(kind, level, values, intervals, find_class_coverage(sets, judged.labels)))
    return found


def _predict(
    predictor: ConformalPredictor,
    tested: Mapping[int, Predictions],
    combination: Combination,
    level: float,
    by_class: bool,
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    if combination == "pooled":
        each = [predictor.predict_sets({fold: part.probabilities}, level, by_class) for fold, part in tested.items()]
        return np.concatenate(each)
    first = next(iter(tested.values()))
    same: dict[int, FloatArray] = {
        fold: align(part, first, number).probabilities for number, (fold, part) in enumerate(tested.items())
    }
    return predictor.predict_sets(same, level, by_class)
