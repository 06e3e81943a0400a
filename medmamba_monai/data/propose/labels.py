"""Proposed labels of a table: its classes, whether they exclude each other, and the rows that have none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.spelling import comparable, is_missing
from medmamba_monai.data.find.table_labels import read_cell
from medmamba_monai.data.find.tables import Row

_MAX_CLASSES = 200


@dataclass(frozen=True)
class Labels:
    """What a user says of the labels.

    Attributes:
        table: CSV file with a row for each image, in place of a folder for each class.
        image_column: Column of the table with the file names or paths.
        label_column: Column of the classes; several columns of 0 and 1: several labels for one image.
        label_separator: What stands between the labels in one cell, where an image may have several.
        group_column: Column of patients: one patient stays in one fold.
        split_column: Column of the official split: train, validation, test.
        separator: What stands between the cells of the table; by default found by looking.
        encoding: Encoding of the table's text, such as latin-1 or utf-16.
        no_label: What stands for no label at all, such as 'No Finding', where an image may have several.
        skip_labels: Values of the label columns whose rows are left out, such as unsure; they are counted.
        skip_unlabelled: Rows without a label (an empty cell, NA, nan, null) are left out and counted.
        label_values: What values other than 0 and 1 mean in label columns: -1=0 for uncertain ones, blank=0 for none.
        exclusive: Whether several label columns exclude each other, as in a one-hot table; by default found by looking.
        group_pattern: Regular expression whose parentheses match the patient in the path below a class folder.
        record_columns: Columns of clinical records in the table, such as age sex; of class folders, too.
    """

    table: Path | None = None
    image_column: str | None = None
    label_column: tuple[str, ...] = ()
    label_separator: str | None = None
    group_column: str | None = None
    split_column: str | None = None
    separator: str | None = None
    encoding: str = "utf-8-sig"
    no_label: tuple[str, ...] = ()
    skip_labels: tuple[str, ...] = ()
    skip_unlabelled: bool = False
    label_values: tuple[str, ...] = ()
    exclusive: bool | None = None
    group_pattern: str | None = None
    record_columns: tuple[str, ...] = ()

    @property
    def names_groups(self) -> bool:
        """Whether groups are named."""
        return self.group_column is not None or self.group_pattern is not None


@dataclass(frozen=True)
class ProposedLabels:
    """The fields of a layout that say where the labels are, the classes in order, and what was decided."""

    fields: dict[str, Any]
    classes: tuple[str, ...]
    several: bool
    remarks: tuple[str, ...] = ()


def propose_labels(rows: Sequence[Row], labels: Labels, classes: Sequence[str] = ()) -> ProposedLabels:
    """Look at the label columns of a table.

    Args:
        rows: all of its rows.
        labels: what a user says of them.
        classes: names of the classes, where a user gives them; they say which spelling is meant.

    Raises:
        UserError: a cell has no label, or two classes look alike; names the lines.
    """
    skipped = [*labels.skip_labels, *(_list_missing(rows, labels) if labels.skip_unlabelled else ())]
    omitted = set(map(comparable, skipped))
    kept = [row for row in rows if not any(comparable(row[column]) in omitted for column in labels.label_column)]
    if len(labels.label_column) > 1:
        return _propose_columns(kept, labels, skipped)
    if labels.label_values or labels.exclusive is not None:
        raise UserError("--label-values, --exclusive: are for several columns of 0 and 1; name all with --label-column")
    fields = {
        "label_column": labels.label_column[0],
        "label_separator": labels.label_separator,
        "no_label": list(labels.no_label),
        "skip_labels": skipped,
    }
    return ProposedLabels(fields, _read_classes(kept, labels, classes), labels.label_separator is not None)


def _list_missing(rows: Sequence[Row], labels: Labels) -> list[str]:
    """Return what stands in the label columns of rows without a label, each spelling once."""
    declared = set(map(comparable, _read_values(labels.label_values)))
    cells = {row[column] for row in rows for column in labels.label_column}
    return sorted(cell for cell in cells if is_missing(cell) and comparable(cell) not in declared)


def _propose_columns(rows: Sequence[Row], labels: Labels, skipped: Sequence[str]) -> ProposedLabels:
    values = _read_values(labels.label_values)
    counts = [sum(read_cell(row, column, values) for column in labels.label_column) for row in rows]
    exclusive = labels.exclusive
    remarks = []
    if exclusive is None:
        exclusive = bool(counts) and set(counts) == {1}
        if exclusive:
            remarks.append(
                "every row has exactly one of the label columns, so they are taken for classes that exclude each "
                "other; --no-exclusive takes them for several labels of one image"
            )
        elif max(counts, default=0) == 1:
            remarks.append(
                f"no row has more than one of the label columns and {counts.count(0)} have none: they are taken for "
                "several labels; if they exclude each other, give those rows a column, or leave them out"
            )
    fields = {"label_columns": list(labels.label_column), "label_values": values, "skip_labels": list(skipped)}
    return ProposedLabels(fields, labels.label_column, not exclusive, tuple(remarks))


def _read_values(texts: Sequence[str]) -> dict[str, int]:
    """Read ``VALUE=0`` and ``VALUE=1``; ``blank`` is an empty cell."""
    values = {}
    for text in texts:
        value, _, meaning = text.rpartition("=")
        if meaning not in ("0", "1") or not value:
            raise UserError(f"--label-values {text!r}: write VALUE=0 or VALUE=1, such as -1=0, or blank=0")
        values["" if value == "blank" else value] = int(meaning)
    return values


def _read_classes(rows: Sequence[Row], labels: Labels, classes: Sequence[str]) -> tuple[str, ...]:
    column = labels.label_column[0]
    none = {comparable(word) for word in (*labels.no_label, *([""] if labels.label_separator else []))}
    chosen = {comparable(name): name for name in classes}
    found: dict[str, tuple[str, Row]] = {}
    for row in rows:
        words = row[column].split(labels.label_separator) if labels.label_separator else [row[column]]
        for word in (word.strip() for word in words):
            if (key := comparable(word)) not in none:
                _add_class(found, key, word, row, column, known=key in chosen)
    if len(found) > _MAX_CLASSES:
        path = rows[0].path
        raise UserError(f"--label_column {column}: {path} has {len(found)} different values there; is it the class?")
    names = (chosen.get(key, name) for key, (name, _) in found.items())
    return tuple(sorted(names, key=make_order_key))


def _add_class(found: dict[str, tuple[str, Row]], key: str, word: str, row: Row, column: str, known: bool) -> None:
    """Add a class that is not there yet; refuse what says that there is none, or looks like another."""
    if is_missing(word) and not known:
        raise UserError(
            f"{row.where}: {column} is {word!r}, which is no class; complete or remove the line, leave all such rows "
            "out with --skip-unlabelled, or, if it is a class, name all of them with --classes"
        )
    before, first = found.setdefault(key, (word, row))
    if before != word and not known:
        raise UserError(
            f"{row.where}: {column} is {word!r}, in line {first.line} it is {before!r}: names and aliases must "
            "differ in more than case, blanks, _, - and zeros of numbers; correct the table, or say which "
            "spelling is meant by naming all classes with --classes"
        )


def make_order_key(name: str) -> tuple[int, float, str]:
    """Return a key that sorts numbers by their value, before all other names, which go by their letters."""
    try:
        value = float(name)
    except ValueError:
        value = math.nan
    return (0, value, "") if math.isfinite(value) else (1, 0.0, name)
