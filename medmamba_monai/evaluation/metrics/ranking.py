"""Metrics of the order in which a class's probabilities put the samples: areas under curves.

They raise `UserError` where a class is absent from the labels, since they are not defined there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn import metrics as sk

from medmamba_monai.evaluation.scores import Scores


def auc(scores: Scores) -> float:
    """Return the area under the ROC curve as MedMNIST's evaluator defines it.

    Binary: of the probability of class 1. Multi-class and ordinal: the mean over the classes, each against the rest by
    the probability of its own column. Multi-label: the mean over the labels.
    """
    return _of_all_classes(scores, class_auc(scores))


def average_precision(scores: Scores) -> float:
    """Return the average precision: of class 1 of a binary task, else the mean over the classes or labels.

    It is the step-wise sum over thresholds of precision times the gain in recall, without interpolation.
    """
    return _of_all_classes(scores, class_average_precision(scores))


def class_auc(scores: Scores) -> list[float]:
    """Return the area under the ROC curve of each class against the rest."""
    scores.require_every_class()
    return [
        float(sk.roc_auc_score(*column)) for column in zip(scores.indicators.T, scores.probabilities.T, strict=True)
    ]


def class_average_precision(scores: Scores) -> list[float]:
    """Return the average precision of each class against the rest."""
    scores.require_every_class()
    columns = zip(scores.indicators.T, scores.probabilities.T, strict=True)
    return [float(sk.average_precision_score(*column)) for column in columns]


def _of_all_classes(scores: Scores, per_class: Sequence[float]) -> float:
    return float(per_class[1] if scores.task == "binary" else np.mean(per_class))
