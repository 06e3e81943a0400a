"""Calibration against formulas by hand, scikit-learn and a search on a grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics import calibration as c
from medmamba_monai.evaluation.scores import Scores
from medmamba_monai.evaluation.statistics.temperature_scaling import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    Temperature,
    apply_temperature,
    fit_temperature,
)


def given(probabilities: object, labels: object, task: str = "multi-class") -> Scores:
    return Scores(probabilities, labels, task)  # type: ignore[arg-type]


def draw_overconfident(task: str = "multi-class", temperature: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Labels that follow the probabilities of `logits`, and the probabilities of `temperature` times the logits."""
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(4000, 3))
    if task == "multi-label":
        return expit(temperature * logits), (generator.random(logits.shape) < expit(logits)).astype(int)
    labels = (generator.random((4000, 1)) > softmax(logits, axis=1).cumsum(axis=1)).sum(axis=1)
    return softmax(temperature * logits, axis=1), labels


def test_binary_brier_score_equals_scikit_learn() -> None:
    scores, labels = np.array([0.1, 0.8, 0.4, 0.4]), [0, 1, 1, 0]
    assert c.brier_score(given(scores, labels, "binary")) == pytest.approx(
        sk.brier_score_loss(labels, scores), abs=1e-15
    )


def test_multi_class_brier_score_is_a_sum_over_classes() -> None:
    assert c.brier_score(given([[0, 1, 0]], [0])) == 2
    assert c.brier_score(given([[0.5, 0.3, 0.2]], [0])) == pytest.approx(0.25 + 0.09 + 0.04)


def test_multi_label_brier_score_is_a_mean_over_labels() -> None:
    assert c.brier_score(given([[0.5, 1, 0.2]], [[1, 0, 0]], "multi-label")) == pytest.approx((0.25 + 1 + 0.04) / 3)


def test_calibration_error_by_hand() -> None:
    # Two bins: 0.62 and 0.66 (half right), 0.9 (right).
    probabilities = [[0.62, 0.38], [0.34, 0.66], [0.9, 0.1]]
    expected = 2 / 3 * abs(0.64 - 0.5) + 1 / 3 * abs(0.9 - 1)
    assert c.expected_calibration_error(given(probabilities, [0, 0, 0])) == pytest.approx(expected)


def test_multi_label_calibration_error_is_a_mean_over_labels() -> None:
    probabilities, labels = [[0.3, 0.9], [0.3, 0.9]], [[0, 1], [1, 1]]
    assert c.expected_calibration_error(given(probabilities, labels, "multi-label")) == pytest.approx((0.2 + 0.1) / 2)


@pytest.mark.parametrize("task", ["multi-class", "multi-label"])
def test_labels_that_follow_the_probabilities_are_calibrated(task: str) -> None:
    calibrated = c.expected_calibration_error(given(*draw_overconfident(task, temperature=1), task))
    assert calibrated < 0.03 < 0.1 < c.expected_calibration_error(given(*draw_overconfident(task), task))


def test_bins_are_open_below_and_closed_above() -> None:
    assert c.number_bins(np.array([0, 0.01, 0.2, 0.2001, 0.5, 1])).tolist() == [0, 0, 2, 3, 7, 14]


def test_reliability_curve_equals_scikit_learn() -> None:
    scores, labels = draw_overconfident("multi-label")
    curve = c.trace_reliability_curve(scores[:, 0], labels[:, 0])
    observed, probability = calibration_curve(labels[:, 0], scores[:, 0], n_bins=15)
    assert curve.probability == pytest.approx(probability, abs=1e-12)
    assert curve.observed == pytest.approx(observed, abs=1e-12)
    assert curve.count.sum() == 4000


def test_reliability_curve_leaves_empty_bins_out() -> None:
    curve = c.trace_reliability_curve([0.05, 0.06, 0.97], [0, 1, 1])
    assert (curve.probability.tolist(), curve.count.tolist()) == ([0.055, 0.97], [2, 1])
    assert curve.observed.tolist() == [0.5, 1]


def test_the_event_of_a_single_label_is_the_predicted_class() -> None:
    events, happened = c.list_calibration_events(given([[0.2, 0.8], [0.7, 0.3]], [1, 1], "binary"))
    assert (events.tolist(), happened.tolist()) == ([[0.8], [0.7]], [[True], [False]])


@pytest.mark.parametrize(("values", "happened"), [([0.5], [0, 1]), ([1.5], [1]), ([], []), ([np.nan], [1])])
def test_reliability_of_impossible_input_is_an_error(values: list[float], happened: list[int]) -> None:
    with pytest.raises(UserError, match=r"two columns of equal length|outside \[0, 1\]"):
        c.trace_reliability_curve(values, happened)


@pytest.mark.parametrize("task", ["multi-class", "multi-label"])
def test_temperature_of_overconfident_probabilities_is_found(task: str) -> None:
    found = fit_temperature(given(*draw_overconfident(task), task))
    assert found.value == pytest.approx(2.5, rel=0.05)
    assert not found.at_bound


@pytest.mark.parametrize("task", ["multi-class", "multi-label"])
def test_temperature_minimises_the_log_loss(task: str) -> None:
    probabilities, labels = draw_overconfident(task)
    best = fit_temperature(given(probabilities, labels, task)).value

    def loss(temperature: float) -> float:
        return c.log_loss(apply_temperature(given(probabilities, labels, task), temperature))

    assert loss(best) < min(loss(best * 0.99), loss(best * 1.01), loss(1))


def test_temperature_does_not_depend_on_a_constant_of_the_logits() -> None:
    probabilities = softmax([[2.0, 1, -1], [0, 3, 1]], axis=1)
    expected = softmax(np.array([[2.0, 1, -1], [0, 3, 1]]) / 3, axis=1)
    assert apply_temperature(given(probabilities, [0, 1]), 3).probabilities == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("task", "probabilities", "labels"),
    [("binary", [0.0, 1.0, 0.3], [0, 1, 0]), ("multi-label", [[0, 1.0, 0.3]], [[0, 1, 0]])],
)
def test_temperature_one_changes_nothing(task: str, probabilities: list, labels: list) -> None:
    found = apply_temperature(given(probabilities, labels, task), 1).probabilities
    assert (found[:, 1] if task == "binary" else found) == pytest.approx(np.array(probabilities), abs=1e-15)


def test_a_perfect_classifier_runs_into_the_lower_bound() -> None:
    assert fit_temperature(given([0.1, 0.9], [0, 1], "binary")) == Temperature(LOWEST_TEMPERATURE, at_bound=True)


def test_a_classifier_that_is_always_wrong_runs_into_the_upper_bound() -> None:
    assert fit_temperature(given([0.9, 0.1], [0, 1], "binary")) == Temperature(HIGHEST_TEMPERATURE, at_bound=True)


@pytest.mark.parametrize("temperature", [0, -1, np.nan, np.inf])
def test_impossible_temperature_is_an_error(temperature: float) -> None:
    with pytest.raises(UserError, match="give a positive number"):
        apply_temperature(given([0.5], [1], "binary"), temperature)
