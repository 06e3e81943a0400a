"""The bootstrap against SciPy's, and against what it cannot know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.statistics import resampling as r


def mean_of(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The weighted mean, as a statistic."""
    return lambda weights: (values @ weights / weights.sum(axis=0))[None]


def distribution_of(values: np.ndarray, groups: list[str] | None = None, resamples: int = 999) -> r.Distribution:
    return r.bootstrap_distribution(mean_of(values), r.Units.of(len(values), groups), resamples, seed=0)


def scipy_interval(sample: np.ndarray, statistic: Callable, ours: r.Distribution, level: float) -> list[float]:
    """What SciPy makes of our resamples; the jackknife is its own."""
    options = {"method": "BCa", "vectorized": False, "confidence_level": level}
    made = replace(stats.bootstrap((sample,), statistic, n_resamples=9, **options), bootstrap_distribution=ours)
    return list(
        stats.bootstrap((sample,), statistic, n_resamples=0, bootstrap_result=made, **options).confidence_interval
    )


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("seed", range(3))
def test_interval_equals_scipy(seed: int, level: float) -> None:
    values = np.random.default_rng(seed).exponential(size=80)
    found = distribution_of(values)
    interval = r.compute_bca_intervals(found, level)[0]
    expected = scipy_interval(values, np.mean, found.resampled[0], level)
    assert [interval.low, interval.high] == pytest.approx(expected, abs=1e-9)


def test_interval_of_groups_equals_scipy() -> None:
    generator = np.random.default_rng(0)
    numbers = generator.integers(0, 30, 100)
    values = generator.exponential(size=100) + numbers / 10
    found = distribution_of(values, [f"p{number:02}" for number in numbers])

    def mean_of_groups(chosen: np.ndarray) -> float:
        return float(np.concatenate([values[numbers == number] for number in chosen]).mean())

    expected = scipy_interval(np.unique(numbers), mean_of_groups, found.resampled[0], 0.95)
    interval = r.compute_bca_intervals(found, 0.95)[0]
    assert [interval.low, interval.high] == pytest.approx(expected, abs=1e-9)


def test_resamples_are_those_of_the_generator() -> None:
    values = np.random.default_rng(1).random(50)
    drawn = np.random.default_rng(0).integers(0, 50, (999, 50))
    assert distribution_of(values).resampled[0] == pytest.approx(values[drawn].mean(axis=1), abs=1e-11)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).random(50)
    whole = distribution_of(values)
    monkeypatch.setattr(r, "_CHUNK", 50 * 7)
    parts = distribution_of(values)
    assert np.array_equal(whole.resampled, parts.resampled)
    assert np.array_equal(np.sort(whole.left_one_out), np.sort(parts.left_one_out))


def test_images_of_a_group_are_drawn_together() -> None:
    groups = [f"p{number}" for number in np.repeat(np.arange(12), 3)]
    seen: list[np.ndarray] = []

    def keep(weights: np.ndarray) -> np.ndarray:
        seen.append(weights.reshape(12, 3, -1))
        return weights[:1]

    r.bootstrap_distribution(keep, r.Units.of(36, groups), 100, seed=0)
    assert all((weights == weights[:, :1]).all() for weights in seen)
    assert (seen[1][:, 0].sum(axis=0) == 12).all()


def test_the_jackknife_leaves_out_each_unit_once() -> None:
    values = np.random.default_rng(1).random(40)
    expected = [np.delete(values, index).mean() for index in range(40)]
    assert np.sort(distribution_of(values).left_one_out[0]) == pytest.approx(np.sort(expected), abs=1e-11)


def test_blocks_part_the_units_evenly() -> None:
    blocks = r.make_jackknife_blocks(1234, np.random.default_rng(0))
    assert np.unique(np.bincount(blocks, minlength=r.JACKKNIFE_BLOCKS)).tolist() == [2, 3]


@pytest.mark.parametrize("seed", range(3))
def test_blocks_give_the_levels_of_single_units(seed: int) -> None:
    values = np.random.default_rng(seed).exponential(size=3000)
    found = distribution_of(values)
    single = (values.sum() - values) / 2999
    levels = [
        r.compute_bca_levels(found.estimate[0], found.resampled[0], sample, 0.95)
        for sample in (found.left_one_out, single)
    ]
    assert found.left_one_out.shape == (1, 500)
    assert levels[0] == pytest.approx(levels[1], abs=0.001)


def test_equal_resamples_have_no_interval() -> None:
    found = distribution_of(np.full(50, 0.3))
    assert r.compute_bca_intervals(found, 0.95) == [
        "it is 0.3 in all resamples: resampling cannot show its uncertainty",
    ]


@pytest.mark.parametrize("groups", [["p0"] * 50, [f"p{index % 9}" for index in range(50)]])
def test_few_groups_have_no_interval(groups: list[str]) -> None:
    found = distribution_of(np.random.default_rng(0).random(50), groups)
    assert "independent units are too few" in r.compute_bca_intervals(found, 0.95)[0]


def test_the_smallest_number_of_units_has_an_interval() -> None:
    interval = r.compute_bca_intervals(distribution_of(np.arange(10.0)), 0.95)[0]
    assert interval.low < 4.5 < interval.high


def undefined_in(part: float) -> r.Interval | str:
    found = distribution_of(np.random.default_rng(0).random(50), resamples=1000)
    found.resampled[0, : round(1000 * part)] = np.nan
    return r.compute_bca_intervals(found, 0.95)[0]


def test_undefined_resamples_are_left_out_and_counted() -> None:
    assert undefined_in(0.05).left_out == 50


def test_too_many_undefined_resamples_are_a_reason() -> None:
    assert undefined_in(0.051) == "it is not defined in 5.1% of the resamples, as a class is absent from them"


def test_an_undefined_estimate_is_a_reason() -> None:
    found = replace(distribution_of(np.arange(50.0)), estimate=np.array([np.nan]))
    assert r.compute_bca_intervals(found, 0.95) == ["it is not defined on these images, as a class is absent"]


def test_a_jackknife_that_is_not_defined_is_a_reason() -> None:
    found = distribution_of(np.arange(50.0))
    found.left_one_out[0, 3] = np.nan
    assert "its acceleration is not known" in r.compute_bca_intervals(found, 0.95)[0]


@pytest.mark.parametrize("shift", [2, 100])
def test_bias_beyond_correction_is_a_reason(shift: float) -> None:
    found = distribution_of(np.arange(50.0))
    biased = replace(found, estimate=found.estimate - shift * found.resampled.std())
    assert "of the resamples are below its estimate" in r.compute_bca_intervals(biased, 0.95)[0]


def test_groups_are_numbered_by_name_whatever_their_order() -> None:
    assert r.Units.of(4, ["b", "a", "c", "a"]).of_image.tolist() == [1, 0, 2, 0]


@pytest.mark.parametrize(
    ("groups", "message"), [(["a"], "1 groups do not fit 2 images"), (["a", ""], "group of image 1 is ''")]
)
def test_groups_that_do_not_fit_are_an_error(groups: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        r.Units.of(2, groups)


def test_few_resamples_are_an_error() -> None:
    with pytest.raises(UserError, match="99 resamples are too few"):
        distribution_of(np.arange(50.0), resamples=99)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_impossible_level_is_an_error(level: float) -> None:
    with pytest.raises(UserError, match=f"level is {level}"):
        r.compute_bca_intervals(distribution_of(np.arange(50.0)), level)
