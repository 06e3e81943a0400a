"""Cases in which a model fails: its most confident mistakes, and those that it is least certain of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medmamba_monai.evaluation.predictions import Predictions
from medmamba_monai.evaluation.scores import THRESHOLD, FloatArray


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


def find_mistakes(predictions: Predictions, count: int) -> list[Case]:
    """Return the wrong predictions with the highest probability, the highest first; ties in the images' order.

    Args:
        predictions: of the images to look through.
        count: how many at most.
    """
    wrong = np.flatnonzero(predictions.labels != predictions.predicted)
    order = wrong[np.argsort(-_measure_certainty(predictions)[wrong], kind="stable")]
    return [_make_case(predictions, index) for index in order[:count]]


def find_least_certain(predictions: Predictions, count: int) -> list[Case]:
    """Return the predictions, right or wrong, that another class or answer came closest to; the closest first.

    Of a single-label task that is the difference between the two highest probabilities, of a label the distance of its
    probability from 0.5.
    """
    order = np.argsort(_measure_margins(predictions).ravel(), kind="stable")
    return [_make_case(predictions, index) for index in order[:count]]


def _measure_certainty(predictions: Predictions) -> FloatArray:
    """Return the probability of each answer that was given: one for each image, of several labels image by image."""
    if predictions.task == "multi-label":
        scores = predictions.probabilities
        return np.where(predictions.predicted == 1, scores, 1 - scores).ravel()
    return predictions.probabilities.max(axis=1)


def _measure_margins(predictions: Predictions) -> FloatArray:
    if predictions.task == "multi-label":
        return np.abs(predictions.probabilities - THRESHOLD)
    highest = np.sort(predictions.probabilities, axis=1)
    return highest[:, -1] - highest[:, -2]


def _make_case(predictions: Predictions, index: int) -> Case:
    """Return the answer with this number, counted as `_measure_certainty` does."""
    names = predictions.class_names
    if predictions.task != "multi-label":
        true, predicted = int(predictions.labels[index]), int(predictions.predicted[index])
        scores = predictions.probabilities[index]
        return Case(
            predictions.ids[index], names[true], names[predicted], float(scores[predicted]), float(scores[true])
        )
    image, column = divmod(int(index), len(names))
    there, probability = bool(predictions.labels[image, column]), float(predictions.probabilities[image, column])
    return _make_label_case(predictions.ids[image], names[column], there, probability)


def _make_label_case(name: str, label: str, there: bool, probability: float) -> Case:
    predicted = probability > THRESHOLD
    certainty = probability if predicted else 1 - probability
    of_truth = certainty if predicted == there else 1 - certainty
    return Case(name, _name_answer(label, there), _name_answer(label, predicted), certainty, of_truth)


def _name_answer(label: str, there: bool) -> str:
    return label if there else f"no {label}"
