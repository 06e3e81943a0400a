"""How well scores of a cross-validation rank images, as an AUC with its interval, beside chance.

The AUC is of pairs within one fold, for models of different folds may put the same image at different heights. Folds
share images that train them, so its variance is that of independent scores times 1 + K n_test / n_train, as Nadeau and
Bengio (2003) correct it. Independent scores have the variance of Mann and Whitney's statistic by chance, and elsewhere
that of Hanley and McNeil (1982); the interval solves for the areas whose distance from the estimate is 1.96 of their
own standard errors (Newcombe 2006), which says something at an area of 1, too, where DeLong's is empty. Images of one
group count as one, and groups of different sizes as fewer (Kish 1965).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

MIN_UNITS = 20
"""Images, or groups, of a class and of all others that are needed to tell."""

_Z = float(norm.ppf(0.975))
_ALMOST_ONE = 1 - 1e-12


@dataclass(frozen=True)
class Ranking:
    """An area under the ROC curve, its 95 % interval, and the one-sided p-value of chance, 0.5."""

    auc: float
    low: float
    high: float
    p_value: float


def rank_images(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], folds: NDArray[np.int64], groups: NDArray[np.int64]
) -> Ranking:
    """Compute how well scores tell positive images from the others, where `are_enough`.

    Args:
        scores: (B,), each by a model that did not see the image's fold.
        positive: (B,).
        folds: (B,) number of each image's fold.
        groups: (B,) number of each image's patient or other group.
    """
    parts = [part for fold in np.unique(folds) if len(np.unique(positive[part := folds == fold])) > 1]
    areas = [roc_auc_score(positive[part], scores[part]) for part in parts]
    pairs = [np.sum(positive[part]) * np.sum(~positive[part]) for part in parts]
    auc = float(np.average(areas, weights=pairs))
    inflation = math.sqrt(1 + len(parts) / max(1, len(parts) - 1))
    m, n = (count_effective_units(groups[chosen]) for chosen in (positive, ~positive))
    by_chance = inflation * math.sqrt((m + n + 1) / (12 * m * n))
    low = find_lower_limit(auc, m, n, _Z * inflation)
    high = 1 - find_lower_limit(1 - auc, m, n, _Z * inflation)
    return Ranking(auc, low, high, float(norm.sf((auc - 0.5) / by_chance)))


def are_enough(positive: NDArray[np.bool_], folds: NDArray[np.int64], groups: NDArray[np.int64]) -> bool:
    """Return whether there are `MIN_UNITS` units of both kinds, and a fold that has both; see `rank_images`."""
    several = any(len(np.unique(positive[folds == fold])) > 1 for fold in np.unique(folds))
    return several and all(count_effective_units(groups[chosen]) >= MIN_UNITS for chosen in (positive, ~positive))


def count_effective_units(groups: NDArray[np.int64]) -> float:
    """Return how many groups of equal size would say as much as these.

    Example:
        >>> count_effective_units(np.array([0, 1, 2])), count_effective_units(np.array([0, 0, 0, 1]))
        (3.0, 1.6)
    """
    sizes = np.unique(groups, return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / np.sum(sizes**2)) if len(sizes) else 0.0


def find_lower_limit(auc: float, m: float, n: float, z: float) -> float:
    """Return the smallest area that an estimate agrees with.

    Args:
        auc: the estimate, 0 to 1.
        m: positive units.
        n: other units.
        z: how many standard errors are agreement.
    """

    def exceed(area: float) -> float:
        pairs = (1 - area) / (2 - area) + area / (1 + area)
        return auc - area - z * math.sqrt(area * (1 - area) / (m * n) * (1 + ((m + n) / 2 - 1) * pairs))

    highest = min(auc, _ALMOST_ONE)
    return float(brentq(exceed, 0.0, highest)) if highest > 0 and exceed(0.0) > 0 > exceed(highest) else 0.0
