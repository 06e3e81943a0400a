"""Tests of significance against all pairs of images, SciPy and examples by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.statistics import significance as s


def draw(seed: int, num_images: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of two models, with ties within and between classes, and labels."""
    generator = np.random.default_rng(seed)
    positive = generator.random(num_images) < 0.4
    common = generator.normal(size=num_images) + positive
    first, second = (np.round(common + generator.normal(size=num_images), 1) for _ in range(2))
    return first, second, positive


def pairs(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """1 of each pair in the right order, 1/2 of a tie, 0 else (positive, negative)."""
    difference = scores[positive][:, None] - scores[~positive][None, :]
    return (difference > 0) + 0.5 * (difference == 0)


def delong_covariance(first: np.ndarray, second: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """The matrix of DeLong et al. from all pairs: S10 / m + S01 / n."""
    wins = [pairs(scores, positive) for scores in (first, second)]
    rows, columns = ([win.mean(axis=axis) for win in wins] for axis in (1, 0))
    return np.cov(rows) / len(rows[0]) + np.cov(columns) / len(columns[0])


@pytest.mark.parametrize("seed", range(5))
def test_delong_equals_all_pairs(seed: int) -> None:
    first, second, positive = draw(seed)
    covariance = delong_covariance(first, second, positive)
    found = s.delong(first, second, positive)
    assert found.auc_a == pytest.approx(pairs(first, positive).mean(), abs=1e-12)
    assert found.auc_b == pytest.approx(pairs(second, positive).mean(), abs=1e-12)
    error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert found.standard_error == pytest.approx(error, abs=1e-12)
    assert found.p_value == pytest.approx(2 * stats.norm.cdf(-abs(found.difference / error)), abs=1e-12)
    assert s.delong_interval(first, positive).standard_error == pytest.approx(math.sqrt(covariance[0, 0]), abs=1e-12)


def test_delong_by_hand() -> None:
    # Positives win 1 and 1/2 of the two negatives; a variance of 1/8 each, divided by 2 images each.
    found = s.delong_interval([0.9, 0.4, 0.6, 0.1], [1, 1, 0, 0])
    assert (found.auc, found.standard_error) == pytest.approx((0.75, math.sqrt(1 / 8 / 2 + 1 / 8 / 2)))


def clustered_variance(scores: np.ndarray, positive: np.ndarray, groups: list[str]) -> float:
    """Obuchowski 1997 as printed: sums of placements over each cluster, from all pairs."""
    wins = pairs(scores, positive)
    auc, (count, other) = wins.mean(), wins.shape
    names = np.array(groups)
    sums = [
        (wins[names[positive] == name].mean(axis=1).sum() - (names[positive] == name).sum() * auc,
         wins[:, names[~positive] == name].mean(axis=0).sum() - (names[~positive] == name).sum() * auc)
        for name in sorted(set(groups))
    ]  # fmt: skip
    ours, theirs = np.array(sums).T
    clusters, with_positive, with_negative = len(ours), len(set(names[positive])), len(set(names[~positive]))
    s10 = with_positive / ((with_positive - 1) * count) * np.sum(ours**2)
    s01 = with_negative / ((with_negative - 1) * other) * np.sum(theirs**2)
    s11 = clusters / (clusters - 1) * np.sum(ours * theirs)
    return s10 / count + s01 / other + 2 * s11 / (count * other)


@pytest.mark.parametrize("seed", range(5))
def test_variance_of_groups_is_obuchowskis(seed: int) -> None:
    first, _, positive = draw(seed)
    groups = [f"p{number}" for number in np.random.default_rng(seed).integers(0, 20, 60)]
    found = s.delong_interval(first, positive, groups).standard_error
    assert found == pytest.approx(math.sqrt(clustered_variance(first, positive, groups)), abs=1e-12)


def test_groups_of_one_image_each_give_delong() -> None:
    sample = draw(0)
    assert s.delong(*sample, groups=[f"{index:02}" for index in range(60)]) == s.delong(*sample)


def test_images_that_come_twice_tell_nothing_new() -> None:
    first, second, positive = draw(0)
    doubled = [np.repeat(values, 2) for values in (first, second, positive)]
    grouped = s.delong(*doubled, groups=[str(index // 2) for index in range(120)])
    assert grouped.standard_error == pytest.approx(s.delong(first, second, positive).standard_error, abs=1e-12)
    assert s.delong(*doubled).standard_error < 0.75 * grouped.standard_error


def test_delong_interval_of_a_difference_is_normal() -> None:
    found = s.delong(*draw(1))
    half = (found.interval.high - found.interval.low) / 2
    assert half == pytest.approx(1.959963984540054 * found.standard_error, abs=1e-12)
    assert found.interval.low + half == pytest.approx(found.difference, abs=1e-12)


def test_interval_of_an_area_stays_below_one() -> None:
    found = s.delong_interval([0.1, 0.3, 0.2, 0.4, 0.5, 0.6, 0.35], [0, 0, 0, 1, 1, 1, 0])
    assert isinstance(found.interval, str)
    found = s.delong_interval([0.1, 0.3, 0.2, 0.4, 0.5, 0.6, 0.45], [0, 0, 0, 1, 1, 1, 0])
    assert 0 < found.interval.low < found.auc < found.interval.high < 1
    assert found.auc + 1.96 * found.standard_error > 1


def test_equal_scores_do_not_differ() -> None:
    first, _, positive = draw(0)
    found = s.delong(first, first * 2, positive)
    assert (found.difference, found.standard_error, found.z, found.p_value) == (0, 0, 0, 1)
    assert "does not vary" in found.interval


def test_a_difference_without_variance_has_no_p_value() -> None:
    found = s.delong([0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1])
    assert (found.difference, found.z, found.p_value) == (0.5, None, None)


@pytest.mark.parametrize("kind", ["images", "groups"])
def test_a_single_positive_is_an_error(kind: str) -> None:
    groups = ["a", "a", "b", "c"] if kind == "groups" else None
    positive = [1, 1, 0, 0] if kind == "groups" else [1, 0, 0, 0]
    with pytest.raises(UserError, match=f"only 1 of the {kind} has positive images"):
        s.delong_interval([0.1, 0.2, 0.3, 0.4], positive, groups)


@pytest.mark.parametrize(("only_a", "only_b"), [(10, 3), (5, 5), (0, 7), (1, 0)])
def test_mcnemar_equals_the_binomial_test(only_a: int, only_b: int) -> None:
    first = [1] * only_a + [0] * only_b + [1, 1, 0]
    second = [0] * only_a + [1] * only_b + [1, 1, 0]
    expected = stats.binomtest(only_a, only_a + only_b, 0.5).pvalue
    assert s.mcnemar(first, second) == s.DiscordantPairs(only_a, only_b, expected)


def test_mcnemar_by_hand() -> None:
    # Five to none: twice 1/32.
    assert s.mcnemar([1] * 5, [0] * 5).p_value == pytest.approx(1 / 16)


def test_mcnemar_takes_booleans_and_agreement() -> None:
    assert s.mcnemar(np.array([True, False]), np.array([True, False])) == s.DiscordantPairs(0, 0, 1)


@pytest.mark.parametrize(("first", "second"), [([1, 0], [1]), ([], []), ([2, 0], [1, 0])])
def test_mcnemar_of_other_input_is_an_error(first: list[int], second: list[int]) -> None:
    with pytest.raises(UserError, match="correct_a"):
        s.mcnemar(first, second)


def test_without_shared_images_the_t_test_is_the_usual_one() -> None:
    differences = [0.02, -0.01, 0.03, 0.01, 0.015]
    expected = stats.ttest_1samp(differences, 0)
    found = s.corrected_resampled_t_test(differences, 0)
    assert (found.t, found.p_value) == pytest.approx((expected.statistic, expected.pvalue), abs=1e-12)
    limits = expected.confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((limits.low, limits.high), abs=1e-12)


def test_corrected_t_test_by_hand() -> None:
    # Mean 3, variance 2.5, factor 1/5 + 1/4: t = 3 / sqrt(1.125).
    found = s.corrected_resampled_t_test([1, 2, 3, 4, 5], 1 / 4)
    assert (found.mean, found.degrees_of_freedom) == (3, 4)
    assert found.t == pytest.approx(2.8284271247461903)
    # The distribution function of Student's t with 4 degrees of freedom has a closed form.
    ratio = found.t / math.sqrt(found.t**2 + 4)
    assert found.p_value == pytest.approx(1 - 1.5 * ratio * (1 - ratio**2 / 3))
    assert found.interval.high - 3 == pytest.approx(2.7764451051977987 * math.sqrt(1.125))


@pytest.mark.parametrize(("value", "t", "p_value"), [(0.0, 0, 1), (0.1, None, None)])
def test_equal_differences_have_no_interval(value: float, t: float | None, p_value: float | None) -> None:
    found = s.corrected_resampled_t_test([value] * 3, 0.25)
    assert (found.mean, found.t, found.p_value) == (pytest.approx(value), t, p_value)
    assert "the same in all folds" in found.interval


@pytest.mark.parametrize("differences", [[], [0.1], [0.1, np.nan], [[0.1, 0.2]]])
def test_too_few_differences_are_an_error(differences: list) -> None:
    with pytest.raises(UserError, match="give two or more finite numbers"):
        s.corrected_resampled_t_test(differences, 0.25)


@pytest.mark.parametrize("ratio", [-0.1, np.nan, np.inf])
def test_impossible_ratio_is_an_error(ratio: float) -> None:
    with pytest.raises(UserError, match="test_to_train_ratio is"):
        s.corrected_resampled_t_test([0.1, 0.2], ratio)


def test_holm_by_hand() -> None:
    assert s.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], abs=1e-15)


def test_holm_stays_at_most_one_and_takes_any_number() -> None:
    assert s.holm([0.9, 0.6]) == [1, 1]
    assert (s.holm([]), s.holm([0.2])) == ([], [0.2])


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_impossible_p_value_is_an_error(value: float) -> None:
    with pytest.raises(UserError, match="give numbers from 0 to 1"):
        s.holm([0.1, value])
