"""Prediction sets with a stated coverage, by conformal prediction: several classes where one would be a guess.

A class is as strange for an image as `measure_strangeness` says. It stays in the image's set unless it is stranger than
nearly all validation images were for their own class: with n of them, its p-value is (1 + those that are at least as
strange) / (n + 1), and the set holds the classes whose p-value exceeds 1 - level (Vovk, Gammerman & Shafer 2005).

Each fold's model judges the image beside the validation images of that fold, which it was not trained on, and the
counts are added up (cross-conformal prediction, Vovk 2015). Of one fold that is split conformal prediction: where the
image is exchangeable with the validation images, its set holds the true class with the stated probability at least. Of
several folds the proven bound is lower, 1 - 2 (1 - level) less a term that vanishes with n / folds (Barber et al.
2021), while the coverage found is usually the stated one or more; it is reported with its interval. Two things are not
exchangeable: validation images chose the epoch of their model, and images of one patient resemble each other.

Own code, since libraries of conformal prediction take estimators that they fit, not predictions that there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.predictions import Predictions
from medmamba_monai.evaluation.scores import FloatArray, IntArray

Method = Literal["LAC", "APS"]
"""Least ambiguous sets, the smallest on average; adaptive ones, which grow with difficulty and are never empty."""

_DECIMALS = 12


def measure_strangeness(probabilities: FloatArray, method: Method) -> FloatArray:
    """Return how strange each class is for each image (B, C), from 0 to 1.

    Args:
        probabilities: (B, C), rows sum to 1.
        method: ``LAC``: 1 - the probability of the class (Sadinle, Lei & Wasserman 2019). ``APS``: the probability of
            all classes that are more probable (Romano, Sesia & Candès 2020, without its random part, so that the most
            probable class is never strange).
    """
    if method == "LAC":
        return (1 - probabilities).round(_DECIMALS)
    more_probable = probabilities[:, None, :] > probabilities[:, :, None]
    return np.einsum("bc,bkc->bk", probabilities, more_probable).round(_DECIMALS)


@dataclass(frozen=True, eq=False)
class ConformalPredictor:
    """What the validation images of each fold were like for its model.

    Attributes:
        method: how strangeness is measured.
        strangeness: of the true class of each of the fold's validation images (n,), ascending, by fold.
        labels: class of each of them (n,), in the same order.

    Example::

        predictor = ConformalPredictor.fit(result.validated, "LAC")
        predictor.predict_sets({fold: part.probabilities for fold, part in result.tested.items()}, level=0.9)
    """

    method: Method
    strangeness: Mapping[int, FloatArray]
    labels: Mapping[int, IntArray]

    @classmethod
    def fit(cls, validated: Mapping[int, Predictions], method: Method) -> ConformalPredictor:
        """Look at the validation images of each fold.

        Raises:
            UserError: the task is multi-label, where a set of one class or more is not what is asked for.
        """
        strangeness: dict[int, FloatArray] = {}
        labels: dict[int, IntArray] = {}
        for fold, part in validated.items():
            if part.task == "multi-label":
                raise UserError("prediction sets are of tasks with one class an image; this one is multi-label")
            of_class = measure_strangeness(part.probabilities, method)[np.arange(len(part)), part.labels]
            order = np.argsort(of_class, kind="stable")
            strangeness[fold], labels[fold] = of_class[order], part.labels[order]
        return cls(method, strangeness, labels)

    def compute_p_values(self, probabilities: Mapping[int, FloatArray], by_class: bool = False) -> FloatArray:
        """Return the p-value of each class for each image (B, C), in (0, 1].

        Args:
            probabilities: (B, C) of the same images by the model of each fold that is to judge them.
            by_class: compare with validation images of the class alone, so that the coverage holds for each class
                (Mondrian); sets grow where a class is rare.

        Raises:
            UserError: a fold without validation images, or no fold.
        """
        if not probabilities or (unknown := set(probabilities) - set(self.strangeness)):
            raise UserError(f"prediction sets need validation images of each fold's model; missing: {sorted(unknown)}")
        counts = [self._count_stranger(fold, found, by_class) for fold, found in probabilities.items()]
        stranger = np.sum([count for count, _ in counts], axis=0)
        return np.asarray((1 + stranger) / (1 + np.sum([total for _, total in counts], axis=0)))

    def predict_sets(
        self, probabilities: Mapping[int, FloatArray], level: float, by_class: bool = False
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Return which classes are in the set of each image (B, C).

        Args:
            probabilities: see `compute_p_values`.
            level: share of images whose set is to hold the true class, between 0 and 1.
            by_class: see `compute_p_values`.

        Raises:
            UserError: the level is none, or as for `compute_p_values`.
        """
        if not 0 < level < 1:
            raise UserError(f"level is {level}: give the share of images whose set is to hold the truth, such as 0.9")
        return self.compute_p_values(probabilities, by_class).round(_DECIMALS) > round(1 - level, _DECIMALS)

    def _count_stranger(self, fold: int, probabilities: FloatArray, by_class: bool) -> tuple[IntArray, IntArray]:
        """Count the fold's images that are as strange as each class or more (B, C), and all that were compared (C,)."""
        strangeness = measure_strangeness(probabilities, self.method)
        known, labels = self.strangeness[fold], self.labels[fold]
        compared = [known[labels == index] if by_class else known for index in range(probabilities.shape[1])]
        columns = [len(c) - np.searchsorted(c, strangeness[:, index]) for index, c in enumerate(compared)]
        return np.stack(columns, axis=1), np.array([len(c) for c in compared])


def weigh_sets(sets: np.ndarray, labels: IntArray, weights: FloatArray) -> FloatArray:
    """Compute what is said of sets, on weighted images.

    Args:
        sets: which classes are in the set of each image (B, C).
        labels: the true classes (B,).
        weights: of the images (B, R).

    Returns:
        (4, R): coverage, mean number of classes, share of sets with one class, share of empty sets.
    """
    sizes = sets.sum(axis=1)
    values = np.stack([sets[np.arange(len(labels)), labels], sizes, sizes == 1, sizes == 0]).astype(np.float64)
    return np.asarray(values @ weights / weights.sum(axis=0))


def find_class_coverage(sets: np.ndarray, labels: IntArray) -> Sequence[float]:
    """Return the share of each class's images whose set holds it; NaN for a class without images."""
    held = sets[np.arange(len(labels)), labels]
    return [
        float(held[labels == index].mean()) if np.any(labels == index) else np.nan for index in range(sets.shape[1])
    ]
