"""What the networks of the folds say of images whose class is not known, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from medmamba_monai.core.choices import check_choice
from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.answers.reasons import Answer, list_reasons
from medmamba_monai.evaluation.scores import FloatArray, IntArray, Scores, Task, predict_labels
from medmamba_monai.evaluation.statistics.conformal import ConformalPredictor, Method
from medmamba_monai.evaluation.statistics.temperature_scaling import apply_temperature


@dataclass(frozen=True, eq=False)
class Prediction:
    """Probabilities of B images by the network of each fold.

    Attributes:
        folds: (B, C), float64, by the number of the fold.
        class_names: C names, in label order.
        task: of the dataset.
        temperatures: of each fold, chosen on its validation part.
        conformal: by method; empty of a multi-label task.
        unlike: share of validation images that are less unlike the training images than each image (B,), 0 to 1; None
            where that is not known.
    """

    folds: Mapping[int, FloatArray]
    class_names: Sequence[str]
    task: Task
    temperatures: Mapping[int, float]
    conformal: Mapping[str, ConformalPredictor]
    unlike: FloatArray | None = None

    @cached_property
    def probabilities(self) -> FloatArray:
        """Mean of the folds (B, C), as the cross-validation's ensemble has it."""
        return np.asarray(np.mean(list(self.folds.values()), axis=0))

    @cached_property
    def calibrated(self) -> FloatArray:
        """Mean of the folds (B, C), each after its temperature."""
        scaled = [apply_temperature(self._score(p), self.temperatures[fold]) for fold, p in self.folds.items()]
        return np.asarray(np.mean([scores.probabilities for scores in scaled], axis=0))

    @cached_property
    def predicted(self) -> IntArray:
        """Class of each image (B,); of a multi-label task zeros and ones (B, C)."""
        return predict_labels(self.probabilities, self.task)

    @property
    def predicted_names(self) -> list[str]:
        """The class of each image by its name; of a multi-label task those above 0.5, joined by semicolons."""
        if self.task == "multi-label":
            return [self._join_names(row) for row in self.predicted]
        return [self.class_names[int(label)] for label in self.predicted]

    @cached_property
    def doubt(self) -> FloatArray:
        """Calibrated probability that the predicted class is wrong (B,), of several labels that of the least sure."""
        if self.task == "multi-label":
            return np.asarray(np.abs(self.predicted - self.calibrated).max(axis=1))
        return np.asarray(1 - self.calibrated[np.arange(len(self.predicted)), self.predicted])

    def predict_sets(
        self, level: float = 0.9, method: Method = "LAC", by_class: bool = False
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Return which classes are in the set of each image (B, C), see `ConformalPredictor`.

        Args:
            level: share of images whose set is to hold the true class, between 0 and 1.
            method: ``LAC`` or ``APS``.
            by_class: whether the level is to hold for each class.

        Raises:
            UserError: the task is multi-label, or the level or method is none.
        """
        if not self.conformal:
            raise UserError("prediction sets are of tasks with one class an image; this one is multi-label")
        return self.conformal[check_choice(method, tuple(self.conformal), "method")].predict_sets(
            self.folds, level, by_class
        )

    def name_sets(self, level: float = 0.9) -> list[str]:
        """Return the names in the set of each image, joined by semicolons; see `predict_sets`."""
        return [self._join_names(row) for row in self.predict_sets(level)]

    def list_reasons(self, level: float = 0.9) -> list[list[str]]:
        """Return what speaks against the answer for each image, in plain words; see `reasons.RULES`.

        Args:
            level: of the sets, see `predict_sets`.
        """
        sets = self.predict_sets(level) if self.conformal else None
        single = self.task != "multi-label"
        return [
            list_reasons(
                Answer(
                    level=level,
                    doubt=float(doubt),
                    predicted=int(self.predicted[row]) if single else None,
                    members=None if sets is None else np.flatnonzero(sets[row]).tolist(),
                    unlike=None if self.unlike is None else float(self.unlike[row]),
                )
            )
            for row, doubt in enumerate(self.doubt)
        ]

    def _join_names(self, row: IntArray | np.ndarray) -> str:
        return "; ".join(name for name, held in zip(self.class_names, row, strict=True) if held)

    def _score(self, probabilities: FloatArray) -> Scores:
        """Return what a temperature is applied to; the labels, which are not known, do not matter."""
        shape = probabilities.shape if self.task == "multi-label" else probabilities.shape[:1]
        return Scores(probabilities, np.zeros(shape, dtype=np.int64), self.task)
