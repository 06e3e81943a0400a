"""Where a model fails: its most confident mistakes, and the cases that it is least certain of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medmamba_monai.evaluation.metrics import THRESHOLD, FloatArray
from medmamba_monai.evaluation.predictions import Predictions


@dataclass(frozen=True)
class Case:
    """One prediction to look at; of a multi-label task, one label of one image.

    Attributes:
        id: of the image.
        true: true class; of a multi-label task the label if it is there, else ``no <label>``.
        predicted: predicted class, likewise.
        probability: that the model gave to what it predicted, 0 to 1.
        true_probability: that it gave to the truth.
    """

    id: str
    true: str
    predicted: str
    probability: float
    true_probability: float


def confident_mistakes(predictions: Predictions, class_names: Sequence[str], count: int) -> list[Case]:
    """The wrong predictions with the highest probability, the highest first; ties in the order of the images.

    Args:
        predictions: of the images to look through.
        class_names: C names.
        count: how many at most.
    """
    cases = _cases(predictions, class_names)
    wrong = [case for case in cases if case.true != case.predicted]
    return sorted(wrong, key=lambda case: -case.probability)[:count]


def least_certain(predictions: Predictions, class_names: Sequence[str], count: int) -> list[Case]:
    """The predictions, right or wrong, that another class or answer came closest to; the closest first.

    Of a single-label task that is the difference between the two highest probabilities, of a label the distance of its
    probability from 0.5.
    """
    cases = _cases(predictions, class_names)
    order = np.argsort(_margins(predictions).ravel(), kind="stable")
    return [cases[index] for index in order[:count]]


def _margins(predictions: Predictions) -> FloatArray:
    if predictions.task == "multi-label":
        return np.abs(predictions.probabilities - THRESHOLD)
    highest = np.sort(predictions.probabilities, axis=1)
    return highest[:, -1] - highest[:, -2]


def _cases(predictions: Predictions, class_names: Sequence[str]) -> list[Case]:
    """All cases: an image each, of a multi-label task a label of an image each, image by image."""
    if predictions.task != "multi-label":
        rows = zip(predictions.ids, predictions.labels, predictions.predicted, predictions.probabilities, strict=True)
        return [
            Case(name, class_names[true], class_names[predicted], float(scores[predicted]), float(scores[true]))
            for name, true, predicted, scores in rows
        ]
    return [
        _label_case(name, class_names[column], bool(labels[column]), float(scores[column]))
        for name, labels, scores in zip(predictions.ids, predictions.labels, predictions.probabilities, strict=True)
        for column in range(len(class_names))
    ]


def _label_case(name: str, label: str, there: bool, probability: float) -> Case:
    predicted = probability > THRESHOLD
    certainty = probability if predicted else 1 - probability
    of_truth = certainty if predicted == there else 1 - certainty
    return Case(name, _answer(label, there), _answer(label, predicted), certainty, of_truth)


def _answer(label: str, there: bool) -> str:
    return label if there else f"no {label}"
