"""How unlike the training images an image is: Mahalanobis distances, ranked among those of validation images.

The distance of a vector x is that of Mahalanobis from the mean of the training images, with their covariance after
Ledoit and Wolf's shrinkage (2004), which holds where there are more numbers than images. An image has several such
vectors, of a network's features and of its pixels alone; each distance is ranked among those of validation images, and
the highest rank counts. That highest rank is ranked among those of validation images once more, so that a share of
0.95 is exceeded by 5 % of images like those of validation, however many vectors there are.

`benchmarks.unlike` is the test that chose this among others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.covariance import LedoitWolf

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.scores import FloatArray

Vectors = Mapping[str, FloatArray]
"""Vectors of B images (B, F) by what they are of; F differs between them."""

_SMALLEST_SPREAD = 1e-6
"""Of the largest standard deviation: numbers that are the same in all training images are not divided by nothing."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """Where the vectors of the training images lie.

    Attributes:
        mean: (F,).
        factor: (F, F); times its transpose it is the inverse of the covariance.
    """

    mean: FloatArray
    factor: FloatArray

    @classmethod
    def fit(cls, vectors: FloatArray) -> Cloud:
        """Look at the vectors of training images (N, F), N at least 2."""
        mean, spread = vectors.mean(axis=0), vectors.std(axis=0)
        spread = np.maximum(spread, _SMALLEST_SPREAD * max(1.0, float(spread.max())))
        shrunken = LedoitWolf(assume_centered=True).fit((vectors - mean) / spread)
        return cls(mean, np.linalg.cholesky(shrunken.precision_) / spread[:, None])

    def measure(self, vectors: FloatArray) -> FloatArray:
        """Return the distance of each vector (B, F) from the mean (B,)."""
        return np.asarray(np.linalg.norm((vectors - self.mean) @ self.factor, axis=1))


@dataclass(frozen=True, eq=False)
class Likeness:
    """What the images of one fold are like for its network.

    Attributes:
        clouds: of the training images, by what the vectors are of.
        known: distances of the fold's N validation images (N,), by the same; the same image at each place.
    """

    clouds: Mapping[str, Cloud]
    known: Mapping[str, FloatArray]

    @classmethod
    def fit(cls, training: Vectors, validation: Vectors) -> Likeness:
        """Look at a fold's images.

        Raises:
            UserError: there are fewer than two training images, or no validation image.
        """
        if min(map(len, training.values())) < 2 or not min(map(len, validation.values())):
            raise UserError("too few images: two training images and a validation image of each fold are needed")
        clouds = {kind: Cloud.fit(vectors) for kind, vectors in training.items()}
        return cls(clouds, {kind: cloud.measure(validation[kind]) for kind, cloud in clouds.items()})

    @property
    def num_known(self) -> int:
        """Number of validation images."""
        return len(next(iter(self.known.values())))

    def count_less_unlike(self, vectors: Vectors) -> FloatArray:
        """Count the validation images that are less unlike the training images than each image (B,)."""
        highest = self._rank({kind: cloud.measure(vectors[kind]) for kind, cloud in self.clouds.items()})
        return np.searchsorted(self._known_ranks, highest).astype(np.float64)

    @cached_property
    def _known_ranks(self) -> FloatArray:
        return np.sort(self._rank(self.known))

    @cached_property
    def _sorted(self) -> Mapping[str, FloatArray]:
        return {kind: np.sort(distances) for kind, distances in self.known.items()}

    def _rank(self, distances: Mapping[str, FloatArray]) -> FloatArray:
        """Return the highest rank of each image among the validation images, from 0 to their number."""
        ranks = [np.searchsorted(self._sorted[kind], values) for kind, values in distances.items()]
        return np.max(ranks, axis=0).astype(np.float64)


def compute_unlike(folds: Mapping[int, Likeness], vectors: Mapping[int, Vectors]) -> FloatArray:
    """Return the share of validation images that are less unlike the training images than each image (B,), 0 to 1.

    Args:
        folds: by number.
        vectors: of the same images for the network of each fold.
    """
    less = np.sum([folds[fold].count_less_unlike(found) for fold, found in vectors.items()], axis=0)
    return np.asarray(less / sum(folds[fold].num_known for fold in vectors))
