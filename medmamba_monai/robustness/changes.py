"""How much corruptions change a metric, with intervals from resamples in which all judge the same images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medmamba_monai.core.defaults import RESAMPLES
from medmamba_monai.evaluation.metrics.catalogue import CATALOGUE
from medmamba_monai.evaluation.metrics.compute import compute_metrics
from medmamba_monai.evaluation.metrics.weighted import PreparedScores
from medmamba_monai.evaluation.scores import FloatArray, Scores
from medmamba_monai.evaluation.statistics.resampling import (
    Interval,
    Units,
    bootstrap_distribution,
    compute_bca_intervals,
)

METRICS = ("auc", "balanced_accuracy")
Key = tuple[str, int]
"""A corruption's name and its severity."""


@dataclass(frozen=True)
class Change:
    """A metric under a corruption.

    Attributes:
        value: of the corrupted images.
        change: ``value`` minus that of the clean images.
        interval: of the change, 95 %; or the reason in words why there is none.
    """

    value: float
    change: float
    interval: Interval | str

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves out 0."""
        return isinstance(self.interval, Interval) and not self.interval.low <= 0 <= self.interval.high


def compute_changes(
    clean: Scores, corrupted: Mapping[Key, Scores], resamples: int = RESAMPLES, seed: int = 0
) -> dict[Key, dict[str, Change]]:
    """Compute what each corruption changes, by metric of `METRICS`.

    Args:
        clean: probabilities of the images as they are.
        corrupted: of the same images in the same order, by corruption and severity.
        resamples: of the bootstrap (BCa); whole groups where the scores know them.
        seed: of the bootstrap.
    """
    before = compute_metrics(clean, METRICS)
    found: dict[Key, dict[str, Change]] = {}
    for key, scores in corrupted.items():
        values = compute_metrics(scores, METRICS)
        intervals = zip(METRICS, _compute_intervals(clean, scores, resamples, seed), strict=True)
        found[key] = {name: Change(values[name], values[name] - before[name], limits) for name, limits in intervals}
    return found


def _compute_intervals(clean: Scores, corrupted: Scores, resamples: int, seed: int) -> list[Interval | str]:
    before, after = PreparedScores(clean), PreparedScores(corrupted)
    metrics = [CATALOGUE[name].weighted for name in METRICS]

    def compute_difference(weights: FloatArray) -> FloatArray:
        first, second = before.weigh(weights), after.weigh(weights)
        return np.array([metric(second) - metric(first) for metric in metrics])

    units = Units.of(len(clean), clean.groups)
    return compute_bca_intervals(bootstrap_distribution(compute_difference, units, resamples, seed), 0.95)
