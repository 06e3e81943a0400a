"""Thresholds against a search over all of them, and operating points against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.statistics import thresholds as t

SCORES = [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9]
POSITIVE = [0, 0, 1, 0, 0, 1, 1, 1]


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    positive = generator.random(120) < 0.4
    return generator.integers(0, 8, 120) / 10 + 0.3 * positive, positive


def test_operating_point_equals_scikit_learn() -> None:
    scores, positive = draw(0)
    point, claim = t.apply_threshold(scores, positive, 0.45), scores > 0.45
    assert point.sensitivity == pytest.approx(sk.recall_score(positive, claim))
    assert point.specificity == pytest.approx(sk.recall_score(~positive, ~claim))
    assert point.ppv == pytest.approx(sk.precision_score(positive, claim))
    assert point.npv == pytest.approx(sk.precision_score(~positive, ~claim))
    assert point.f1 == pytest.approx(sk.f1_score(positive, claim))
    assert point.accuracy == pytest.approx(sk.accuracy_score(positive, claim))
    assert [point.tn, point.fp, point.fn, point.tp] == sk.confusion_matrix(positive, claim).ravel().tolist()


def test_a_score_at_the_threshold_is_not_predicted() -> None:
    assert t.apply_threshold([0.5, 0.6], [0, 1], 0.5) == t.OperatingPoint(0.5, tp=1, fp=0, fn=0, tn=1)


@pytest.mark.parametrize(("threshold", "missing"), [(0.95, "ppv"), (0.05, "npv")])
def test_without_a_prediction_there_is_no_predictive_value(threshold: float, missing: str) -> None:
    assert getattr(t.apply_threshold(SCORES, POSITIVE, threshold), missing) is None


@pytest.mark.parametrize("seed", range(10))
def test_youden_threshold_is_the_best_of_all(seed: int) -> None:
    scores, positive = draw(seed)
    false_rate, true_rate, _ = sk.roc_curve(positive, scores)
    point = t.apply_threshold(scores, positive, t.choose_youden_threshold(scores, positive))
    assert point.sensitivity + point.specificity - 1 == pytest.approx(np.max(true_rate - false_rate), abs=1e-12)


def test_youden_takes_the_lowest_of_equal_thresholds() -> None:
    # Thresholds 0.15 and 0.35 both reach 1/2, as one negative lies between two positives.
    assert t.choose_youden_threshold([0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1]) == pytest.approx(0.15)


def test_thresholds_lie_halfway_between_scores() -> None:
    assert t.choose_youden_threshold([0.1, 0.9], [0, 1]) == 0.5


def test_neighbours_of_the_number_line_are_told_apart() -> None:
    for low in (0.5, np.nextafter(0.5, 1)):
        scores = [low, np.nextafter(low, 1)]
        assert t.apply_threshold(scores, [0, 1], t.choose_youden_threshold(scores, [0, 1])).accuracy == 1


@pytest.mark.parametrize("specificity", [0.5, 0.8, 0.95, 1])
@pytest.mark.parametrize("seed", range(5))
def test_threshold_at_specificity_is_the_most_sensitive_of_all(seed: int, specificity: float) -> None:
    scores, positive = draw(seed)
    false_rate, true_rate, _ = sk.roc_curve(positive, scores, drop_intermediate=False)
    point = t.apply_threshold(scores, positive, t.choose_threshold_at_specificity(scores, positive, specificity))
    assert point.specificity >= specificity
    assert point.sensitivity == pytest.approx(true_rate[1 - false_rate >= specificity - 1e-12].max())


def test_of_equally_sensitive_thresholds_the_most_specific_is_taken() -> None:
    # All of 0.35 to 0.65 find three of four; 0.65 spares all negatives.
    assert t.choose_threshold_at_specificity(SCORES, POSITIVE, 0.6) == pytest.approx(0.65)
    assert t.choose_threshold_at_specificity(SCORES, POSITIVE, 0.4) == pytest.approx(0.25)


def test_a_specificity_that_is_met_exactly_counts() -> None:
    scores, positive = [*range(20), 18.5], [0] * 20 + [1]
    assert (
        t.apply_threshold(scores, positive, t.choose_threshold_at_specificity(scores, positive, 0.95)).sensitivity == 1
    )


def test_where_nothing_else_is_specific_enough_nothing_is_predicted() -> None:
    point = t.apply_threshold([0.1, 0.9], [1, 0], t.choose_threshold_at_specificity([0.1, 0.9], [1, 0], 0.95))
    assert (point.sensitivity, point.specificity) == (0, 1)


@pytest.mark.parametrize("function", [t.choose_youden_threshold, t.choose_threshold_at_specificity, t.check_ranking])
@pytest.mark.parametrize(("positive", "found"), [([1, 1], "positive"), ([0, 0], "negative")])
def test_one_kind_of_image_is_an_error(function, positive: list[int], found: str) -> None:
    with pytest.raises(UserError, match=f"all 2 images are {found}"):
        function([0.1, 0.2], positive)


@pytest.mark.parametrize(
    ("scores", "positive", "message"),
    [
        ([0.1, 0.2], [0, 1, 1], "not two columns of equal length"),
        ([0.1, np.nan], [0, 1], "1 of 2 scores are NaN or infinite"),
        ([0.1, 0.2], [0, 2], "positive holds values such as 2"),
        ([], [], "all 0 images"),
    ],
)
def test_input_that_does_not_fit_is_an_error(scores: list, positive: list, message: str) -> None:
    with pytest.raises(UserError, match=message):
        t.apply_threshold(scores, positive, 0.5)


@pytest.mark.parametrize("specificity", [0, 1.1, 95, np.nan])
def test_impossible_specificity_is_an_error(specificity: float) -> None:
    with pytest.raises(UserError, match="give a fraction above 0"):
        t.choose_threshold_at_specificity(SCORES, POSITIVE, specificity)


def test_impossible_threshold_is_an_error() -> None:
    with pytest.raises(UserError, match="threshold is nan"):
        t.apply_threshold(SCORES, POSITIVE, np.nan)
