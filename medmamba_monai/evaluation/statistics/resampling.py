"""The bootstrap over images or patients, and its bias-corrected and accelerated interval (BCa, Efron 1987).

A unit is what is drawn: an image, or a group of images such as those of one patient, which are drawn together because
they resemble each other. A resample draws as many units as there are, with replacement and whatever their class: a
vector of whole-number weights of the images. Statistics are functions of such weights.

The acceleration comes from the jackknife, which leaves out one unit at a time. Above `JACKKNIFE_BLOCKS` units it
leaves out one of as many blocks instead, dealt from the shuffled units and differing by one unit at most. The units'
influences add up within a block, and the mixed terms of the cube are zero on average, so the acceleration, their third
moment over the 3/2 power of their second, stays the same. Where the sums of G blocks are about normal, they estimate
it with a standard error of sqrt(6 / G) / (6 sqrt(G)) = 0.41 / G: with 500 blocks 0.0008, which moves a level of 0.025
by 0.0002, while 2000 resamples leave 0.0035 of it uncertain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.scores import FloatArray, IntArray

MIN_UNITS = 10
"""Fewer units have no interval: ten have 92,378 different resamples, five only 126."""

MAX_LEFT_OUT = 0.05
"""The largest part of the resamples in which a statistic with an interval may be undefined."""

JACKKNIFE_BLOCKS = 500
"""Up to so many units the jackknife leaves out each one, above it blocks of units."""

_CHUNK = 500_000
_DECIMALS = 12


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: its lower limit.
        high: its upper limit.
        left_out: resamples in which the value was not defined, as without a class; the interval is made of the rest.
    """

    low: float
    high: float
    left_out: int = 0


@dataclass(frozen=True)
class Resampling:
    """How intervals were made.

    Attributes:
        level: the confidence level, such as 0.95.
        resamples: how many were drawn.
        seed: of the draws.
        units: what was drawn: `groups` or `images`.
        num_units: how many of them there are.
    """

    level: float
    resamples: int
    seed: int
    units: str
    num_units: int


@dataclass(frozen=True, eq=False)
class Units:
    """The units of B images.

    Attributes:
        of_image: number of each image's unit (B,), 0 to `count` - 1.
        count: how many units there are.
        kind: `groups` or `images`.
    """

    of_image: IntArray
    count: int
    kind: str

    @classmethod
    def of(cls, num_images: int, groups: Sequence[str] | None) -> Units:
        """Number the groups in alphabetical order; without groups, the images.

        Raises:
            UserError: another number of groups than images, or an empty name.
        """
        if groups is None:
            return cls(np.arange(num_images), num_images, "images")
        if len(groups) != num_images:
            raise UserError(f"{len(groups)} groups do not fit {num_images} images: give the group of each image")
        names = list(groups)
        if unknown := [row for row, name in enumerate(names) if not isinstance(name, str) or not name]:
            raise UserError(
                f"group of image {unknown[0]} is {names[unknown[0]]!r}: give each image a name of its patient, "
                "or one of its own where the patient is not known"
            )
        numbers = {name: number for number, name in enumerate(sorted(set(names)))}
        return cls(np.array([numbers[name] for name in names]), len(numbers), "groups")


@dataclass(frozen=True, eq=False)
class Distribution:
    """K statistics on the images, on R resamples and on J jackknife samples.

    All are rounded to 12 decimals: what differs by rounding errors only must count as equal.

    Attributes:
        estimate: on all images (K,).
        resampled: on each resample (K, R), NaN where a statistic is not defined.
        left_one_out: on each jackknife sample (K, J).
        num_units: how many units were resampled.
    """

    estimate: FloatArray
    resampled: FloatArray
    left_one_out: FloatArray
    num_units: int


def bootstrap_distribution(
    statistic: Callable[[FloatArray], FloatArray], units: Units, resamples: int, seed: int
) -> Distribution:
    """Compute statistics on resamples; the same units, number and seed give the same resamples.

    Fewer than `MIN_UNITS` units are not resampled: R and J are 0.

    Args:
        statistic: takes weights (B, R) and returns (K, R), as does `WeightedMetrics`.
        units: of the B images.
        resamples: how many to draw.
        seed: of the draws.

    Raises:
        UserError: fewer than 100 resamples.
    """
    if resamples < 100:
        raise UserError(f"{resamples} resamples are too few for an interval: 1000 or more are usual")

    def evaluate(unit_weights: IntArray) -> FloatArray:
        return statistic(_weigh_images(units, unit_weights)).round(_DECIMALS)

    generator = np.random.default_rng(seed)
    estimate = evaluate(np.ones((1, units.count), dtype=np.int64))[:, 0]
    if units.count < MIN_UNITS:
        return Distribution(estimate, np.empty((len(estimate), 0)), np.empty((len(estimate), 0)), units.count)
    sizes = _chunk_sizes(resamples, len(units.of_image))
    resampled = [evaluate(_draw(generator, units.count, size)) for size in sizes]
    left_out = np.arange(min(units.count, JACKKNIFE_BLOCKS))
    blocks = make_jackknife_blocks(units.count, generator)
    chunks = np.split(left_out, np.cumsum(list(_chunk_sizes(len(left_out), len(units.of_image))))[:-1])
    left_one_out = [evaluate((blocks != chunk[:, None]).astype(np.int64)) for chunk in chunks]
    return Distribution(estimate, np.concatenate(resampled, axis=1), np.concatenate(left_one_out, axis=1), units.count)


def draw_resamples(units: Units, resamples: int, seed: int) -> Iterator[FloatArray]:
    """Yield the weights of images in resamples, those of `bootstrap_distribution`, some resamples at a time.

    Args:
        units: of B images.
        resamples: how many to draw.
        seed: of the draws.

    Yields:
        How often each image is in each of R resamples (B, R).
    """
    generator = np.random.default_rng(seed)
    for size in _chunk_sizes(resamples, len(units.of_image)):
        yield _weigh_images(units, _draw(generator, units.count, size))


def make_jackknife_blocks(num_units: int, generator: np.random.Generator) -> IntArray:
    """Return the block of each unit, in which the jackknife leaves it out: its own, or one of `JACKKNIFE_BLOCKS`."""
    return generator.permutation(np.arange(num_units) % JACKKNIFE_BLOCKS)


def compute_bca_intervals(distribution: Distribution, level: float) -> list[Interval | str]:
    """Compute the BCa interval of each of the K statistics, or the reason in words why there is none.

    There is none for fewer than `MIN_UNITS` units, a statistic that is undefined in more than `MAX_LEFT_OUT` of the
    resamples or has the same value in all, and where bias and acceleration move a limit beyond all resamples.

    Raises:
        UserError: a level that is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise UserError(f"level is {level}: give a confidence between 0 and 1, such as 0.95")
    columns = zip(distribution.estimate, distribution.resampled, distribution.left_one_out, strict=True)
    if distribution.num_units < MIN_UNITS:
        reason = f"{distribution.num_units} independent units are too few to resample: {MIN_UNITS} are needed"
        return [reason for _ in columns]
    return [_interval(*column, level) for column in columns]


def _interval(estimate: float, resampled: FloatArray, left_one_out: FloatArray, level: float) -> Interval | str:
    values = resampled[~np.isnan(resampled)]
    left_out = len(resampled) - len(values)
    if np.isnan(estimate):
        return "it is not defined on these images, as a class is absent"
    if left_out > MAX_LEFT_OUT * len(resampled):
        return f"it is not defined in {left_out / len(resampled):.1%} of the resamples, as a class is absent from them"
    if values.min() == values.max():
        return f"it is {values[0]:.6g} in all resamples: resampling cannot show its uncertainty"
    levels = compute_bca_levels(estimate, values, left_one_out, level)
    if levels is None:
        return "leaving out a few units makes it undefined or changes nothing: its acceleration is not known"
    if not min(levels[0], 1 - levels[1]) * (len(values) + 1) >= 1:
        below = np.mean(values < estimate)
        return (
            f"{below:.1%} of the resamples are below its estimate: "
            f"more bias than {len(resampled)} resamples can correct"
        )
    low, high = np.quantile(values, levels)
    return Interval(float(low), float(high), left_out)


def compute_bca_levels(
    estimate: float, resampled: FloatArray, left_one_out: FloatArray, level: float
) -> tuple[float, float] | None:
    """Compute the levels at which BCa takes quantiles of the resamples (Efron & Tibshirani 1993, eq. 14.10).

    Resamples that equal the estimate count half in the bias correction, as in `scipy.stats.bootstrap`.

    Returns:
        Levels from 0 to 1, NaN where the estimate is outside of all resamples; None where the jackknife values are
        all equal or not all defined.
    """
    influence = left_one_out.mean() - left_one_out
    spread = np.sum(influence**2)
    if not spread > 0:
        return None
    acceleration = np.sum(influence**3) / (6 * spread**1.5)
    bias = ndtri((np.mean(resampled < estimate) + np.mean(resampled <= estimate)) / 2)
    shifted = bias + ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    with np.errstate(invalid="ignore"):
        low, high = ndtr(bias + shifted / (1 - acceleration * shifted))
    return float(low), float(high)


def _weigh_images(units: Units, unit_weights: IntArray) -> FloatArray:
    """Return the weights of the images (B, R) for weights of the units (R, units)."""
    return unit_weights.take(units.of_image, axis=1).T.astype(np.float64, order="C")


def _chunk_sizes(count: int, num_images: int) -> Iterator[int]:
    size = max(1, _CHUNK // num_images)
    return (min(size, count - start) for start in range(0, count, size))


def _draw(generator: np.random.Generator, num_units: int, size: int) -> IntArray:
    """Draw how often each unit is in each of `size` resamples (size, units)."""
    drawn = generator.integers(0, num_units, (size, num_units))
    numbered = drawn + num_units * np.arange(size)[:, None]
    return np.bincount(numbered.ravel(), minlength=size * num_units).reshape(size, num_units)
