from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.statistics.unlike import Cloud, Likeness, compute_unlike


def draw(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, 3)) @ np.array([[2.0, 1, 0], [0, 1, 0], [0, 0, 50]]) + [5, 5 + shift, 0]


def fit(seed: int = 0, count: int = 200) -> Likeness:
    kinds = {"features": 0, "pixels": 10}
    training, validation = (
        {kind: draw(count, seed + add + more) for kind, more in kinds.items()} for add in (100, 200)
    )
    return Likeness.fit(training, validation)


def test_the_distance_is_mahalanobis_with_ledoit_and_wolfs_covariance_of_scaled_numbers():
    training, new = draw(50, 1), draw(7, 2)
    scaled, scaled_new = ((x - training.mean(0)) / training.std(0) for x in (training, new))
    expected = np.sqrt(LedoitWolf(assume_centered=True).fit(scaled).mahalanobis(scaled_new))
    np.testing.assert_allclose(Cloud.fit(training).measure(new), expected)


def test_a_number_that_was_always_the_same_is_no_division_by_zero():
    training = np.c_[draw(50, 1), np.full(50, 7.0)]
    cloud = Cloud.fit(training)
    assert np.isfinite(cloud.measure(training)).all()
    assert cloud.measure(training[:1] + np.array([0, 0, 0, 1.0]))[0] > cloud.measure(training).max()


def test_five_percent_of_images_like_those_of_validation_exceed_the_share_of_95_percent():
    folds = {fold: fit(1000 * fold) for fold in range(3)}
    new = {"features": draw(2000, 7), "pixels": draw(2000, 8)}
    shares = compute_unlike(folds, dict.fromkeys(folds, new))
    assert 0.03 < (shares >= 0.95).mean() < 0.07
    assert shares.mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("odd", ["features", "pixels"])
def test_one_kind_of_vector_that_is_odd_is_enough(odd):
    new = {"features": draw(20, 7), "pixels": draw(20, 8)}
    shares = compute_unlike({0: fit()}, {0: {**new, odd: draw(20, 9, shift=50)}})
    np.testing.assert_array_equal(shares, 1.0)


def test_counts_of_the_folds_are_added_up():
    folds = {0: fit(0, 50), 1: fit(1, 150)}
    new = {"features": draw(5, 7), "pixels": draw(5, 8)}
    counts = [folds[fold].count_less_unlike(new) for fold in folds]
    np.testing.assert_array_equal(compute_unlike(folds, dict.fromkeys(folds, new)), (counts[0] + counts[1]) / 200)


def test_too_few_images_are_an_error():
    one = {"features": draw(1, 0)}
    with pytest.raises(UserError, match="too few images"):
        Likeness.fit(one, one)
