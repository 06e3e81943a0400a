"""Predictions: probabilities and labels with a name for each image; kept as CSV, combined over folds.

The file has the header ``id,part,label,predicted,probability_0,...,probability_{C-1}``, with the column ``group`` after
``predicted`` where it is known which images belong to one patient. Probabilities are written with 17 significant
digits, which float64 needs to be read back bit for bit. In a multi-label file `label` and `predicted` hold one 0 or 1
for each class, separated by blanks. Task and names of the classes are not in it: who reads it says them.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from medmamba_monai.core.choices import check_choice
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_text
from medmamba_monai.evaluation.csv_text import format_csv, parse_csv
from medmamba_monai.evaluation.scores import IntArray, Scores, Task, check_class_names

PARTS = ("validation", "test")
"""The parts of a fold that are predicted: what selected the model, and what it never saw."""

Combination = Literal["ensemble", "pooled"]
"""How the test parts of folds become one: mean probabilities of the same images, or different images joined."""

COMBINATIONS: tuple[Combination, ...] = get_args(Combination)

_FIRST_COLUMNS = ["id", "part", "label", "predicted"]
_GROUP = "group"


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictions(Scores):
    """Probabilities and true labels of B images, each with a name of its own; checked once, when this is made.

    Attributes:
        probabilities: (B, C) in [0, 1], float64; rows sum to 1 unless the task is multi-label.
        labels: class indices (B,), or zeros and ones (B, C) of a multi-label task; int64.
        task: of the data.
        groups: B names of patients or other groups, whose images are not independent; None where none are known.
        ids: B different names, stable from run to run (never a path).
        parts: B times `validation` or `test`.
        class_names: C different names in label order, as readers see them; by default ``class 0`` and so on.

    Example:
        >>> found = Predictions([0.2, 0.7], [0, 1], "binary", ids=["a", "b"], parts=["validation", "test"])
        >>> found.select("test").ids
        ('b',)

    Raises:
        UserError: on creation, where these do not fit each other or the task, or an id comes twice.
    """

    ids: Sequence[str]
    parts: Sequence[str]
    class_names: Sequence[str] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        ids, parts = tuple(self.ids), tuple(self.parts)
        if not len(ids) == len(parts) == len(self):
            raise UserError(f"{len(ids)} ids, {len(parts)} parts and {len(self)} labels do not fit each other")
        if unknown := set(parts) - set(PARTS):
            raise UserError(f"unknown part {min(unknown)!r}: choose from {', '.join(PARTS)}")
        _require_unique(ids)
        names = tuple(self.class_names) or tuple(f"class {index}" for index in range(self.num_classes))
        names = check_class_names(names, self.num_classes)
        for name, value in {"ids": ids, "parts": parts, "class_names": names}.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        parts = ", ".join(f"{self.parts.count(part)} {part}" for part in PARTS if part in self.parts)
        return f"Predictions({self.task}, {len(self)} images ({parts}), classes: {', '.join(self.class_names)})"

    def select(self, part: str) -> Predictions:
        """Keep the images of one part, in their order.

        Raises:
            UserError: there is none.
        """
        rows = [row for row, found in enumerate(self.parts) if found == part]
        if not rows:
            raise UserError(f"no predictions of part {part!r}; there are: {', '.join(sorted(set(self.parts)))}")
        return self.take(rows)

    def take(self, rows: Sequence[int]) -> Predictions:
        """Keep the images in these rows, in this order."""
        return self.change_checked(
            ids=tuple(self.ids[row] for row in rows),
            parts=tuple(self.parts[row] for row in rows),
            labels=self.labels[rows],
            probabilities=self.probabilities[rows],
            groups=None if self.groups is None else tuple(self.groups[row] for row in rows),
        )


def write_predictions(path: str | os.PathLike[str], predictions: Predictions) -> None:
    """Write the CSV file, atomically: readers see the old file or the whole new one.

    Raises:
        UserError: the file cannot be written.
    """
    first = _FIRST_COLUMNS if predictions.groups is None else [*_FIRST_COLUMNS, _GROUP]
    groups = [[]] * len(predictions) if predictions.groups is None else [[group] for group in predictions.groups]
    columns = (predictions.ids, predictions.parts, predictions.labels, predictions.predicted)
    rows = (
        [name, part, _format_labels(label), _format_labels(predicted), *group, *(f"{p:.17g}" for p in probabilities)]
        for name, part, label, predicted, group, probabilities in zip(
            *columns, groups, predictions.probabilities, strict=True
        )
    )
    write_text(path, format_csv(first + _probability_columns(predictions.num_classes), rows))


def read_predictions(
    path: str | os.PathLike[str], task: Task, class_names: Sequence[str] = (), part: str | None = None
) -> Predictions:
    """Read what `write_predictions` wrote, bit for bit.

    Args:
        path: of the file.
        task: of the data, which the file does not tell: the same probabilities have another Brier score as a binary
            than as a multi-class task.
        class_names: in label order, for readers.
        part: the one part to read, ``validation`` or ``test``: of the other nothing is parsed or looked at; None reads
            both.

    Raises:
        UserError: naming the file and what is wrong in it: no such file, another header, a line that does not fit,
            impossible probabilities, or a `predicted` that does not follow from them.
    """
    file = Path(path)
    header, *rows = _read_rows(file)
    if part is not None:
        rows = [row for row in rows if row[1] == part]
        if not rows:
            raise UserError(f"{file}: has no predictions of part {part!r}")
    first = header.index("probability_0")
    try:
        predictions = Predictions(
            probabilities=np.array([[float(cell) for cell in row[first:]] for row in rows]),
            labels=np.array([_parse_labels(row[2]) for row in rows]),
            task=task,
            ids=[row[0] for row in rows],
            parts=[row[1] for row in rows],
            groups=[row[first - 1] for row in rows] if _GROUP in header else None,
            class_names=class_names,
        )
        stored = np.array([_parse_labels(row[3]) for row in rows])
    except ValueError as error:
        raise UserError(f"{file}: {error}") from error
    if not np.array_equal(stored, predictions.predicted):
        raise UserError(f"{file}: column 'predicted' does not follow from the probabilities; was the file edited?")
    return predictions


def ensemble(members: Sequence[Predictions]) -> Predictions:
    """Average the probabilities that several models give to the same images, matched by id.

    Args:
        members: predictions of the same images, in any order; for a cross-validation the test part of each fold.

    Returns:
        Predictions in the order of the first member.

    Raises:
        UserError: no member, or members that differ in ids, parts, labels or number of classes.
    """
    if not members:
        raise UserError("an ensemble needs at least one model's predictions")
    first = members[0]
    aligned = [align(member, first, number) for number, member in enumerate(members)]
    return first.change_checked(probabilities=np.mean([member.probabilities for member in aligned], axis=0))


def pool(members: Sequence[Predictions]) -> Predictions:
    """Join predictions of different images, as of the test parts of a cross-validation without a test set.

    Raises:
        UserError: no member, an image that comes twice, or members that differ in their classes or their task.
    """
    if not members:
        raise UserError("there are no predictions to pool")
    kinds = {(member.task, *member.class_names) for member in members}
    if len(kinds) > 1:
        raise UserError(f"predictions to pool differ in their classes: {sorted(kinds)}")
    ids = tuple(name for member in members for name in member.ids)
    _require_unique(ids)
    return members[0].change_checked(
        ids=ids,
        parts=tuple(part for member in members for part in member.parts),
        labels=np.concatenate([member.labels for member in members]),
        probabilities=np.concatenate([member.probabilities for member in members]),
        groups=_join_groups(members),
    )


def combine(members: Sequence[Predictions], combination: str) -> Predictions:
    """Make the test parts of the folds one: averaged (``ensemble``) or joined (``pooled``).

    Raises:
        UserError: an unknown combination, or members that do not fit each other.
    """
    return ensemble(members) if check_choice(combination, COMBINATIONS, "combination") == "ensemble" else pool(members)


def _join_groups(members: Sequence[Predictions]) -> tuple[str, ...] | None:
    found = [member.groups for member in members]
    known = [groups for groups in found if groups is not None]
    if 0 < len(known) < len(found):
        raise UserError(
            f"{len(known)} of {len(found)} predictions to pool tell the groups of images, the others do not"
        )
    return tuple(group for groups in known for group in groups) if known else None


def align(member: Predictions, first: Predictions, number: int = 1) -> Predictions:
    """Return the predictions of a member in the order of the first one's images.

    Raises:
        UserError: they differ in ids, parts, labels, groups, classes or task; ``number`` is the member's in it.
    """
    if odd := set(member.ids) ^ set(first.ids):
        example = min(odd)
        raise UserError(
            f"predictions {number} and 0 differ in {len(odd)} ids, such as {example!r}: not the same images"
        )
    rows = {name: row for row, name in enumerate(member.ids)}
    member = member.take([rows[name] for name in first.ids])
    if member.labels.shape != first.labels.shape or member.probabilities.shape != first.probabilities.shape:
        raise UserError(f"predictions {number} and 0 differ in their number of classes")
    if (member.task, member.class_names) != (first.task, first.class_names):
        raise UserError(
            f"predictions {number} and 0 differ in their task or the names of their classes: {member.task}, "
            f"{', '.join(member.class_names)} and {first.task}, {', '.join(first.class_names)}"
        )
    if not np.array_equal(member.labels, first.labels) or member.parts != first.parts or member.groups != first.groups:
        raise UserError(
            f"predictions {number} and 0 differ in labels, parts or groups of the same ids: not the same data"
        )
    return member


def _read_rows(file: Path) -> list[list[str]]:
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            reader = parse_csv(stream)
            header = next(reader, [])
            first = [*_FIRST_COLUMNS, _GROUP] if _GROUP in header else _FIRST_COLUMNS
            if header != first + _probability_columns(max(len(header) - len(first), 1)):
                raise UserError(
                    f"{file}: the header is {','.join(header)!r}, not id,part,label,predicted,probability_0,... "
                    "(or with group after predicted)"
                )
            return [header, *_check_widths(reader, file, len(header))]
    except OSError as error:
        raise UserError(f"{file}: predictions cannot be read ({error.strerror}); evaluate the fold first") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: not a CSV file in UTF-8 ({error})") from error


def _check_widths(rows: Iterator[list[str]], file: Path, width: int) -> Iterator[list[str]]:
    for number, row in enumerate(rows, start=1):
        if len(row) != width:
            raise UserError(f"{file}: row {number} has {len(row)} cells, not {width}; is the file cut off?")
        yield row


def _probability_columns(num_classes: int) -> list[str]:
    return [f"probability_{index}" for index in range(num_classes)]


def _require_unique(ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise UserError(f"id {name!r} comes twice: every image needs a name of its own")
        seen.add(name)


def _format_labels(value: IntArray) -> str:
    return " ".join(str(number) for number in np.atleast_1d(value))


def _parse_labels(cell: str) -> int | list[int]:
    numbers = [int(number) for number in cell.split(" ")]
    return numbers if len(numbers) > 1 else numbers[0]
