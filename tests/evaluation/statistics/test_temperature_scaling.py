"""Temperatures of the folds, against a search by scipy and scores by scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax
from sklearn import metrics as sk

from medmamba_monai.evaluation.predictions import Combination, Predictions, combine
from medmamba_monai.evaluation.statistics.temperature_scaling import TemperatureScaling, scale_folds
from tests.helpers.predicted_folds import predicted_folds

Parts = dict[int, Predictions]


def parts(folds: Parts) -> tuple[Parts, Parts]:
    return tuple({fold: found.select(part) for fold, found in folds.items()} for part in ("test", "validation"))


def scaled(tested: Parts, validated: Parts, combination: Combination = "ensemble") -> TemperatureScaling:
    return scale_folds(tested, validated, combine(list(tested.values()), combination), combination)


def divided(probabilities: np.ndarray, temperature: float, task: str) -> np.ndarray:
    if task == "multi-label":
        return expit(logit(probabilities) / temperature)
    return softmax(np.log(probabilities) / temperature, axis=1)


def loss(part: Predictions, temperature: float, task: str) -> float:
    values = divided(part.probabilities, temperature, task)
    if task == "multi-label":
        return float(np.mean([sk.log_loss(t, p) for t, p in zip(part.labels.T, values.T, strict=True)]))
    return float(sk.log_loss(part.labels, values))


@pytest.mark.parametrize("task", ["binary", "multi-class", "multi-label"])
def test_each_temperature_has_the_lowest_loss_on_its_folds_validation(task):
    tested, validated = parts(predicted_folds(task, num_folds=2))
    found = scaled(tested, validated)
    for fold, part in validated.items():
        best = minimize_scalar(lambda t, part=part: loss(part, t, task), bounds=(0.1, 10), method="bounded")
        assert found.temperatures[fold].value == pytest.approx(best.x, rel=1e-3)


@pytest.mark.parametrize("combination", ["ensemble", "pooled"])
def test_each_fold_is_scaled_by_its_own_temperature(combination):
    tested, validated = parts(predicted_folds("binary", combination))
    found = scaled(tested, validated, combination)
    values = [
        divided(part.probabilities, found.temperatures[fold].value, "binary")[:, 1] for fold, part in tested.items()
    ]
    joined = np.mean(values, axis=0) if combination == "ensemble" else np.concatenate(values)
    truth = [part.labels for part in tested.values()]
    labels = truth[0] if combination == "ensemble" else np.concatenate(truth)
    assert found.after["brier"] == pytest.approx(sk.brier_score_loss(labels, joined), abs=1e-9)
    assert found.after["log_loss"] == pytest.approx(sk.log_loss(labels, joined), abs=1e-9)


def test_test_images_do_not_move_a_temperature():
    tested, validated = parts(predicted_folds("binary"))
    others, _ = parts(predicted_folds("binary", seed=1))
    first, second = (scaled(found, validated) for found in (tested, others))
    assert first.temperatures == second.temperatures
    assert first.before != second.before


def test_before_is_the_combination_as_it_is():
    tested, validated = parts(predicted_folds("multi-class"))
    mean = np.mean([part.probabilities for part in tested.values()], axis=0)
    before = scaled(tested, validated).before
    assert before["log_loss"] == pytest.approx(sk.log_loss(tested[0].labels, mean), abs=1e-12)
    assert list(before) == ["ece", "brier", "log_loss"]


def test_an_overconfident_network_is_calibrated_again():
    folds = predicted_folds("binary", num_folds=1, images=300)
    sharp = {fold: replace(p, probabilities=divided(p.probabilities, 0.2, "binary")) for fold, p in folds.items()}
    found = scaled(*parts(sharp))
    assert all(temperature.value > 2 for temperature in found.temperatures.values())
    assert all(found.after[name] < found.before[name] for name in found.before)


def test_curves_hold_every_label_of_every_image():
    tested, validated = parts(predicted_folds("multi-label"))
    found = scaled(tested, validated)
    assert found.curve_before.count.sum() == found.curve_after.count.sum() == 60 * 3
