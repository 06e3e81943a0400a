"""Labels in the cells of a table: what a card says that they mean, and which rows have none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from medmamba_monai.cards.card import DatasetCard
from medmamba_monai.cards.layouts import TableLayout
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.spelling import comparable
from medmamba_monai.data.find.found import quote_names
from medmamba_monai.data.find.tables import Row

_ZERO_OR_ONE = {"0": 0, "1": 1, "false": 0, "true": 1}


def read_label(card: DatasetCard, layout: TableLayout, row: Row) -> int | tuple[int, ...]:
    """Return the label of a row: the index of its class; for a multi-label task a 0 or 1 for each class.

    Raises:
        UserError: a cell says something else; names the line.
    """
    if layout.label_columns is not None:
        cells = tuple(read_cell(row, column, layout.label_values) for column in layout.label_columns)
        return cells if card.task == "multi-label" else _find_only_one(row, layout.label_columns, cells)
    value = row[str(layout.label_column)]
    if layout.label_separator is None:
        return _read_class(card, row, value)
    without = {comparable(word) for word in (*layout.no_label, "")}
    words = [word for word in value.split(layout.label_separator) if comparable(word) not in without]
    present = {_read_class(card, row, word) for word in words}
    return tuple(int(label in present) for label in range(card.num_classes))


def read_cell(row: Row, column: str, label_values: Mapping[str, int]) -> int:
    """Return the 0 or 1 of a cell.

    Args:
        row: the row.
        column: one of its columns.
        label_values: what other values mean.

    Raises:
        UserError: it is neither; names the line.
    """
    values = _ZERO_OR_ONE | {comparable(text): value for text, value in label_values.items()}
    if (text := comparable(row[column])) not in values:
        raise UserError(
            f"{row.where}: {column} is {row[column]!r}, expected 0 or 1; correct the table, or say in the card what it "
            "means (label_values) or that such rows are left out (skip_labels); new-bundle: --label-values, "
            "--skip-labels, --skip-unlabelled"
        )
    return values[text]


def find_skipped(layout: TableLayout, row: Row) -> str | None:
    """Return the value for which a row is left out, None where it is not."""
    skipped = set(map(comparable, layout.skip_labels))
    columns = layout.label_columns or (str(layout.label_column),)
    return next((row[column] for column in columns if comparable(row[column]) in skipped), None)


def describe_skipped(values: Iterable[str]) -> list[str]:
    """Return a remark on the rows that were left out for these values; none where there are none."""
    counts = Counter(values)
    several = ", ".join(f"{value!r} ({count})" for value, count in sorted(counts.items()))
    listed = several if len(counts) > 1 else quote_names([*counts])
    return [f"{counts.total()} rows of the table are left out: {listed}"] if counts else []


def describe_declared(layout: TableLayout, rows: Iterable[Row]) -> list[str]:
    """Return a remark on the cells that are neither 0 nor 1 and are taken for what the card says."""
    declared = {comparable(text): value for text, value in layout.label_values.items()}
    cells = (comparable(row[column]) for row in rows for column in layout.label_columns or ())
    counts = Counter(cell for cell in cells if cell in declared)
    listed = ", ".join(f"{value!r} is {declared[value]} ({count})" for value, count in sorted(counts.items()))
    return [f"{counts.total()} cells of the label columns are taken as the card says: {listed}"] if counts else []


def _find_only_one(row: Row, columns: tuple[str, ...], cells: tuple[int, ...]) -> int:
    if sum(cells) != 1:
        present = [column for column, cell in zip(columns, cells, strict=True) if cell]
        raise UserError(
            f"{row.where}: has the classes {quote_names(present)}, the card says that there is one; correct the table, "
            "or make the task 'multi-label'"
        )
    return cells.index(1)


def _read_class(card: DatasetCard, row: Row, value: str) -> int:
    label = card.label_of(value)
    if label is None:
        raise UserError(
            f"{row.where}: {value!r} is no class of the card, which has {quote_names(card.class_names)}; "
            "correct the table, add an alias to the card, or leave such rows out with skip_labels"
        )
    return label
