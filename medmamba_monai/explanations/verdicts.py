"""Which method is best by a criterion, and whether that is shown: means over images, and paired differences.

All methods are judged on the same images, and resamples draw the same images (or whole groups) for all of them. The
best is compared with each of the others by the interval of its paired difference; the level of these intervals is
raised by Bonferroni so that all of them hold together with 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medmamba_monai.evaluation.scores import FloatArray
from medmamba_monai.evaluation.statistics.resampling import (
    Distribution,
    Interval,
    Units,
    bootstrap_distribution,
    compute_bca_intervals,
)

LEVEL = 0.95


@dataclass(frozen=True)
class Criterion:
    """Something that maps are judged by.

    Attributes:
        title: as readers see it.
        higher_is_better: whether it is.
        meaning: what the number is, for the page.
    """

    title: str
    higher_is_better: bool
    meaning: str


CRITERIA = {
    "deletion": Criterion(
        "Deletion", False, "area below the probability of the predicted class as pixels go, the highest first"
    ),
    "insertion": Criterion(
        "Insertion", True, "area below the probability of the predicted class as pixels come, the highest first"
    ),
    "pointing": Criterion(
        "Pointing game",
        True,
        "share of images where the highest value of the map, smoothed as it is drawn, is inside the finding",
    ),
    "randomization": Criterion(
        "Randomization",
        False,
        "rank correlation of a map with that of the network with all weights shuffled: what stays does not explain",
    ),
}
"""By name."""


@dataclass(frozen=True)
class Standing:
    """How good a method is by a criterion.

    Attributes:
        method: its name.
        mean: over images.
        interval: of the mean, 95 %, or the reason in words why there is none.
        behind: interval of how much better the best is, all of them together 95 %, at least 0 where that is shown;
            None of the best itself.
    """

    method: str
    mean: float
    interval: Interval | str
    behind: Interval | str | None

    @property
    def is_shown_behind(self) -> bool:
        """Whether the best is shown to be better than this."""
        return isinstance(self.behind, Interval) and self.behind.low > 0


@dataclass(frozen=True)
class Verdict:
    """All methods by one criterion, the best first.

    Attributes:
        criterion: a key of `CRITERIA`.
        images: how many were judged.
        standings: of each method.
    """

    criterion: str
    images: int
    standings: Sequence[Standing]

    @property
    def best(self) -> Standing:
        """The first."""
        return self.standings[0]


def judge_methods(
    criterion: str, values: Mapping[str, FloatArray], groups: Sequence[str] | None, resamples: int, seed: int
) -> Verdict:
    """Rank methods by a criterion.

    Args:
        criterion: a key of `CRITERIA`.
        values: of each image (B,), by method; all of the same images.
        groups: of the images; None where they are not known.
        resamples: of the bootstrap (BCa).
        seed: of the bootstrap.
    """
    sign = 1 if CRITERIA[criterion].higher_is_better else -1
    names = sorted(values, key=lambda name: -sign * float(values[name].mean()))
    table = np.stack([values[name] for name in names])
    both = np.concatenate([table, sign * (table[0] - table[1:])])
    units = Units.of(table.shape[1], groups)
    found = bootstrap_distribution(lambda weights: both @ weights / weights.sum(0), units, resamples, seed)
    means = compute_bca_intervals(_take(found, slice(len(names))), LEVEL)
    others = len(names) - 1
    behind = compute_bca_intervals(_take(found, slice(len(names), None)), 1 - (1 - LEVEL) / others) if others else []
    rows = zip(names, table.mean(1).tolist(), means, [None, *behind], strict=True)
    return Verdict(criterion, table.shape[1], [Standing(*row) for row in rows])


def _take(found: Distribution, rows: slice) -> Distribution:
    return replace(
        found,
        estimate=found.estimate[rows],
        resampled=found.resampled[rows],
        left_one_out=found.left_one_out[rows],
    )
