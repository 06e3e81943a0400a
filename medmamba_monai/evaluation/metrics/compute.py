"""All metrics of the catalogue at once: exact, of each class, and for many weightings of the images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from medmamba_monai.evaluation.metrics.catalogue import (
    CATALOGUE,
    ClassMetric,
    find_metric,
    list_class_metrics,
    list_metrics,
)
from medmamba_monai.evaluation.metrics.weighted import PreparedScores
from medmamba_monai.evaluation.scores import FloatArray, Scores


def compute_metrics(scores: Scores, names: Iterable[str] | None = None) -> dict[str, float]:
    """Compute metrics.

    Args:
        scores: probabilities and labels, such as `Predictions`.
        names: of the metrics, in this order; None for all that the task has.

    Returns:
        A float for each name.

    Raises:
        UserError: a metric that the task does not have, or a class without a single sample.
    """
    chosen = list_metrics(scores.task) if names is None else names
    return {name: find_metric(name, scores.task).compute(scores) for name in chosen}


def compute_class_metrics(scores: Scores, names: Iterable[str] | None = None) -> dict[str, list[float]]:
    """Compute metrics of each class against the rest.

    Args:
        scores: probabilities and labels, such as `Predictions`.
        names: of the metrics, in this order; None for all that classes have.

    Returns:
        For each name a list of C floats, in the order of the classes.

    Raises:
        UserError: a class without a single sample.
    """
    wanted = None if names is None else list(names)
    found = dict(_of_classes(scores))
    return {name: found[name].compute(scores) for name in (found if wanted is None else wanted)}


class WeightedMetrics:
    """All metrics of one model on one set of images, as a function of the images' weights.

    Args:
        scores: probabilities and labels of B images.

    Attributes:
        num_images: B.
        keys: name and class of each of the K metrics; the class is None where the metric is of all classes.
    """

    def __init__(self, scores: Scores) -> None:
        self.num_images = len(scores)
        self._overall = [CATALOGUE[name].weighted for name in list_metrics(scores.task)]
        self._of_class = [metric.weighted for _, metric in _of_classes(scores)]
        self.keys: list[tuple[str, int | None]] = [(name, None) for name in list_metrics(scores.task)]
        self.keys += [(name, index) for name, _ in _of_classes(scores) for index in range(scores.num_classes)]
        self._prepared = PreparedScores(scores)

    def __call__(self, weights: FloatArray) -> FloatArray:
        """Compute all metrics.

        Args:
            weights: (B, R), not negative, each column with a positive sum.

        Returns:
            Metrics (K, R) in the order of `keys`, NaN where they are not defined.

        Raises:
            UserError: weights of another number of images.
        """
        weighted = self._prepared.weigh(weights)
        overall = np.array([metric(weighted) for metric in self._overall])
        return np.concatenate([overall, *(metric(weighted) for metric in self._of_class)])


def _of_classes(scores: Scores) -> Iterator[tuple[str, ClassMetric]]:
    for name in list_class_metrics(scores.task):
        metric = CATALOGUE[name].of_class
        if metric is not None:
            yield name, metric
