"""Probabilities and true labels that are known to fit a task: what every metric is computed from.

============= ================================================== ==================
task          probabilities                                      labels
============= ================================================== ==================
`binary`      (B, 2), rows sum to 1; or of class 1: (B, 1), (B,) (B,) of 0 and 1
`multi-class` (B, C), rows sum to 1                              (B,) of 0..C-1
`ordinal`     (B, C), rows sum to 1                              (B,) of 0..C-1
`multi-label` (B, C), each in [0, 1] on its own                  (B, C) of 0 and 1
============= ================================================== ==================

The predicted class is the most probable one, the lowest index among equals; of a multi-label task, every label whose
probability exceeds 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medmamba_monai.core.choices import check_choice
from medmamba_monai.core.errors import UserError

Task = Literal["binary", "multi-class", "ordinal", "multi-label"]
"""The kinds of classification that MedMNIST knows."""

TASKS: tuple[Task, ...] = get_args(Task)

THRESHOLD = 0.5
"""A label of a multi-label task is predicted where its probability exceeds this."""

ROW_SUM_TOLERANCE = 1e-4
"""How far a row of probabilities may be from summing to 1: float32 softmax passes, float16 softmax does not."""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

AnyScores = TypeVar("AnyScores", bound="Scores")


@dataclass(frozen=True, eq=False)
class Scores:
    """Probabilities and true labels of B samples; they are checked once, when this is made.

    NumPy arrays are taken, or what ``numpy.asarray`` turns into one, as the module's table says.

    Attributes:
        probabilities: (B, C) in float64, two columns for every binary task.
        labels: class indices (B,), or zeros and ones (B, C) of a multi-label task; int64.
        task: of the data, which decides what is predicted and how metrics are defined.
        groups: B names of patients or other groups, whose samples are not independent; None where none are known.

    Example:
        >>> Scores([0.2, 0.7, 0.6], [0, 1, 0], "binary").predicted.tolist()
        [0, 1, 1]

    Raises:
        UserError: on creation, naming what does not fit the task, the value found and what is expected.
    """

    probabilities: FloatArray
    labels: IntArray
    task: Task
    groups: Sequence[str] | None = None

    def __post_init__(self) -> None:
        scores = check_probabilities(self.probabilities, self.task)
        groups = None if self.groups is None else tuple(self.groups)
        if groups is not None and len(groups) != len(scores):
            raise UserError(f"{len(groups)} groups do not fit {len(scores)} samples: give the group of each sample")
        object.__setattr__(self, "labels", _check_labels(self.labels, scores, self.task))
        object.__setattr__(self, "probabilities", scores)
        object.__setattr__(self, "groups", groups)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """C, the classes, or the labels of a multi-label task."""
        return int(self.probabilities.shape[1])

    @cached_property
    def predicted(self) -> IntArray:
        """Predicted class indices (B,), or zeros and ones (B, C) of a multi-label task."""
        return _predict(self.probabilities, self.task)

    @cached_property
    def indicators(self) -> IntArray:
        """True labels as zeros and ones (B, C), whatever the task."""
        return _indicate(self.labels, self.num_classes)

    @cached_property
    def predicted_indicators(self) -> IntArray:
        """Predicted labels as zeros and ones (B, C), whatever the task."""
        return _indicate(self.predicted, self.num_classes)

    @property
    def class_counts(self) -> list[int]:
        """How many samples each class has, or have each label."""
        return [int(count) for count in self.indicators.sum(axis=0)]

    def require_every_class(self) -> None:
        """Refuse samples on which AUC and macro averages are not defined.

        Raises:
            UserError: a class has no sample, or a label is the same in all of them.
        """
        if self._absent:
            several = self.task == "multi-label"
            needed = "each label is 1 in some and 0 in others" if several else "every class occurs"
            raise UserError(
                f"{', '.join(self._absent)} of the {len(self)} samples, where its AUC and the macro metrics are not "
                f"defined: evaluate on samples in which {needed}, as in every part of a fold list that prepare wrote"
            )

    @cached_property
    def _absent(self) -> list[str]:
        counts = list(enumerate(self.class_counts))
        if self.task == "multi-label":
            same = {0: 0, len(self): 1}
            return [f"label {index} is {same[count]} in all" for index, count in counts if count in same]
        return [f"class {index} is in none" for index, count in counts if not count]

    def change_checked(self: AnyScores, **changes: Any) -> AnyScores:
        """Copy with other attributes that are known to fit, such as some of the rows: nothing is checked again."""
        made: AnyScores = object.__new__(type(self))
        values: Mapping[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in {**values, **changes}.items():
            object.__setattr__(made, name, value)
        return made


def predict_labels(probabilities: ArrayLike, task: Task) -> IntArray:
    """Turn probabilities into predictions by the rule at the top of this module.

    Returns:
        Class indices (B,); of a multi-label task, zeros and ones (B, C).

    Raises:
        UserError: for probabilities that do not fit the task.
    """
    return _predict(check_probabilities(probabilities, task), task)


def check_probabilities(probabilities: ArrayLike, task: str) -> FloatArray:
    """Check probabilities against the module's table and return them as float64 (B, C).

    Raises:
        UserError: naming what does not fit, the value found and what is expected.
    """
    check_choice(task, TASKS, "task")
    scores = np.asarray(probabilities).astype(np.float64)
    if task == "binary" and (scores.ndim == 1 or scores.shape[1:] == (1,)):
        scores = np.stack([1 - scores.reshape(-1), scores.reshape(-1)], axis=1)
    columns_fit = scores.ndim == 2 and (scores.shape[1] == 2 if task == "binary" else scores.shape[1] >= 2)
    if not columns_fit or not len(scores):
        columns = "2" if task == "binary" else "2 or more"
        raise UserError(f"probabilities of a {task} task have shape {scores.shape}, not (samples, {columns} classes)")
    _check_values(scores, rows_sum_to_one=task != "multi-label")
    return scores


def check_class_names(class_names: Sequence[str], num_classes: int) -> tuple[str, ...]:
    """Return the names, if there is a different one for each class.

    Raises:
        UserError: there is not.
    """
    if len(class_names) != num_classes or len(set(class_names)) != num_classes:
        raise UserError(f"{num_classes} classes need as many different names; found {list(class_names)}")
    return tuple(class_names)


def _check_labels(labels: ArrayLike, scores: FloatArray, task: Task) -> IntArray:
    truth = np.asarray(labels)
    expected = scores.shape if task == "multi-label" else scores.shape[:1]
    if truth.shape != expected:
        raise UserError(f"labels of a {task} task with {len(scores)} samples have shape {truth.shape}, not {expected}")
    if truth.dtype.kind not in "biuf" or not np.array_equal(truth, np.round(truth)):
        raise UserError(f"labels are not whole numbers (dtype {truth.dtype}): give class indices")
    highest = 1 if task == "multi-label" else scores.shape[1] - 1
    if truth.min() < 0 or truth.max() > highest:
        raise UserError(f"labels range from {truth.min():g} to {truth.max():g}; this {task} task allows 0 to {highest}")
    return truth.astype(np.int64)


def _check_values(scores: FloatArray, rows_sum_to_one: bool) -> None:
    finite = np.isfinite(scores).all(axis=1)
    if not finite.all():
        first = int(np.argmin(finite))
        raise UserError(f"probabilities hold NaN or infinity in {(~finite).sum()} samples, the first is number {first}")
    if scores.min() < 0 or scores.max() > 1:
        raise UserError(
            f"probabilities range from {scores.min():.6g} to {scores.max():.6g}, outside [0, 1]: "
            "apply softmax (sigmoid for multi-label) to the network's logits first"
        )
    error = np.abs(scores.sum(axis=1) - 1)
    if rows_sum_to_one and error.max() > ROW_SUM_TOLERANCE:
        row = int(error.argmax())
        raise UserError(
            f"probabilities of sample {row} sum to {scores[row].sum():.6g}, not 1: "
            "apply softmax over the classes, in float32 or better"
        )


def _predict(scores: FloatArray, task: Task) -> IntArray:
    if task == "multi-label":
        return (scores > THRESHOLD).astype(np.int64)
    return scores.argmax(axis=1)


def _indicate(labels: IntArray, num_classes: int) -> IntArray:
    return labels if labels.ndim == 2 else (labels[:, None] == np.arange(num_classes)).astype(np.int64)
