"""Where a model fails: its most confident mistakes, and the cases that it is least certain of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medmamba_monai.evaluation.metrics.paper import THRESHOLD, FloatArray, predicted_labels
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
    wrong = np.flatnonzero(predictions.labels != predictions.predicted)
    order = wrong[np.argsort(-_certainties(predictions)[wrong], kind="stable")]
    return [_case(predictions, class_names, index) for index in order[:count]]


def least_certain(predictions: Predictions, class_names: Sequence[str], count: int) -> list[Case]:
    """The predictions, right or wrong, that another class or answer came closest to; the closest first.

    Of a single-label task that is the difference between the two highest probabilities, of a label the distance of its
    probability from 0.5.
    """
    order = np.argsort(_margins(predictions).ravel(), kind="stable")
    return [_case(predictions, class_names, index) for index in order[:count]]


def _certainties(predictions: Predictions) -> FloatArray:
    """The probability of each answer that was given: one for each image, of several labels image by image."""
    if predictions.task == "multi-label":
        scores = predictions.probabilities
        return np.where(predictions.predicted == 1, scores, 1 - scores).ravel()
    return predictions.probabilities.max(axis=1)


def _margins(predictions: Predictions) -> FloatArray:
    if predictions.task == "multi-label":
        return np.abs(predictions.probabilities - THRESHOLD)
    highest = np.sort(predictions.probabilities, axis=1)
    return highest[:, -1] - highest[:, -2]


def _case(predictions: Predictions, class_names: Sequence[str], index: int) -> Case:
    """The answer with this number, counted as `_certainties` does."""
    if predictions.task != "multi-label":
        name, true, scores = predictions.ids[index], predictions.labels[index], predictions.probabilities[index]
        predicted = predicted_labels(scores[None], predictions.task)[0]
        return Case(name, class_names[true], class_names[predicted], float(scores[predicted]), float(scores[true]))
    image, column = divmod(int(index), len(class_names))
    there, probability = bool(predictions.labels[image, column]), float(predictions.probabilities[image, column])
    return _label_case(predictions.ids[image], class_names[column], there, probability)


def _label_case(name: str, label: str, there: bool, probability: float) -> Case:
    predicted = probability > THRESHOLD
    certainty = probability if predicted else 1 - probability
    of_truth = certainty if predicted == there else 1 - certainty
    return Case(name, _answer(label, there), _answer(label, predicted), certainty, of_truth)


def _answer(label: str, there: bool) -> str:
    return label if there else f"no {label}"
