from __future__ import annotations

import numpy as np
import pytest

from medmamba_monai.data.shortcuts.ranking import are_enough, count_effective_units, find_lower_limit, rank_images

ALONE = np.arange(100)
FOLDS = np.arange(100) // 2 % 5
POSITIVE = np.arange(100) % 2 == 1


def test_a_perfect_ranking_has_an_interval() -> None:
    found = rank_images(POSITIVE * 1.0, POSITIVE, FOLDS, ALONE)
    assert (found.auc, found.high) == (1, 1)
    assert 0.85 < found.low < 0.97
    assert found.p_value < 1e-6


def test_scores_without_information_are_chance() -> None:
    found = rank_images(np.zeros(100), POSITIVE, FOLDS, ALONE)
    assert (found.auc, found.p_value) == (0.5, 0.5)
    assert found.low + found.high == pytest.approx(1)


def test_an_inverted_ranking_is_the_mirror() -> None:
    scores = np.random.default_rng(0).normal(size=100) + POSITIVE
    found, inverted = (rank_images(sign * scores, POSITIVE, FOLDS, ALONE) for sign in (1, -1))
    assert (inverted.auc, inverted.low, inverted.high) == pytest.approx((1 - found.auc, 1 - found.high, 1 - found.low))


def test_only_images_of_one_fold_are_compared() -> None:
    scores = POSITIVE - 10.0 * FOLDS
    assert rank_images(scores, POSITIVE, FOLDS, ALONE).auc == 1


def test_images_of_one_group_count_as_one() -> None:
    groups = ALONE // 4
    grouped, alone = (rank_images(POSITIVE * 1.0, POSITIVE, FOLDS, units) for units in (groups, ALONE))
    assert grouped.low < alone.low
    assert grouped.p_value > alone.p_value
    assert count_effective_units(np.array([0] * 97 + [1, 2, 3])) < 1.1


def test_the_lower_limit_solves_newcombes_equation() -> None:
    m, n, z, auc = 60, 50, 1.96, 0.8
    low = find_lower_limit(auc, m, n, z)
    pairs = (1 - low) / (2 - low) + low / (1 + low)
    error = np.sqrt(low * (1 - low) / (m * n) * (1 + ((m + n) / 2 - 1) * pairs))
    assert auc - low == pytest.approx(z * error)
    assert find_lower_limit(0.0, m, n, z) == 0


@pytest.mark.parametrize(("count", "enough"), [(38, False), (40, True)])
def test_twenty_of_each_are_enough(count: int, enough: bool) -> None:
    assert are_enough(POSITIVE[:count], FOLDS[:count], ALONE[:count]) is enough


def test_folds_of_one_kind_tell_nothing() -> None:
    assert not are_enough(POSITIVE, POSITIVE.astype(int), ALONE)
