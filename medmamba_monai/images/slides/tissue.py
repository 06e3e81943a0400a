"""Where a slide has tissue: Otsu's threshold on the saturation of an overview.

Otsu's method is a dozen lines of NumPy here, for which scikit-image would be one more package.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

_LEAST_SATURATION = 0.05
"""Glass is grayer than this in every scanner's colors; without it Otsu would part even an empty slide in two."""
_LEAST_GLASS = 0.01
"""Share of an overview that must be glass for a threshold between glass and tissue to be found."""
_DARK = 30
"""Brightest channel of what is black, such as a scanner's frame, whose hue and saturation are noise."""
_BINS = 256


def find_tissue(overview: np.ndarray) -> np.ndarray:
    """Return where there is tissue, which is stained and so more saturated than glass.

    Args:
        overview: uint8 (rows, columns, 3).

    Returns:
        bool (rows, columns).
    """
    saturation = uniform_filter(compute_saturation(overview), size=3, mode="nearest")
    stained = saturation > _LEAST_SATURATION
    if stained.mean() > 1 - _LEAST_GLASS:  # Otsu would part one kind of tissue from another
        return np.asarray(stained)
    return np.asarray(stained & (saturation > find_otsu_threshold(saturation)))


def compute_saturation(picture: np.ndarray) -> np.ndarray:
    """Return the saturation of HSV, float32 from 0 to 1 (rows, columns); 0 of what is nearly black.

    Args:
        picture: uint8 (rows, columns, 3).
    """
    brightest, darkest = picture.max(axis=2), picture.min(axis=2)
    spread = (brightest - darkest).astype(np.float32)
    return np.divide(spread, brightest, out=np.zeros_like(spread), where=brightest > _DARK)


def find_otsu_threshold(values: np.ndarray) -> float:
    """Return the threshold that parts values into two classes with the largest variance between them.

    Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9 (1979), equation 18, on a histogram from 0 to 1.

    Args:
        values: from 0 to 1, of any shape.

    Example:
        >>> 0.1 < find_otsu_threshold(np.array([0.1, 0.1, 0.1, 0.8, 0.8])) < 0.8
        True
    """
    counts, edges = np.histogram(values, _BINS, (0.0, 1.0))
    share = np.cumsum(counts) / values.size
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts * centers) / values.size
    apart = share * (1 - share)
    between = np.divide((below[-1] * share - below) ** 2, apart, out=np.zeros_like(apart), where=apart > 0)
    best = np.flatnonzero(between == between.max())
    return float(edges[1:][best].mean())
