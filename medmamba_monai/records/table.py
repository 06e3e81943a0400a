"""Records of many images as one table of numbers; nothing is filled in, scaled or learned here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medmamba_monai.cards.records import RecordColumn, RecordValue
from medmamba_monai.core.errors import UserError
from medmamba_monai.data.folds.fold_list import FoldList


@dataclass(frozen=True, eq=False)
class RecordTable:
    """Values of B images in K columns.

    Attributes:
        values: (B, K) float64, NaN where a value is missing; a category is its number in the column's categories.
        is_category: (K,) whether a column holds categories.
        names: K names of the columns.
    """

    values: NDArray[np.float64]
    is_category: NDArray[np.bool_]
    names: tuple[str, ...]

    def append_numbers(self, numbers: NDArray[np.float64], name: str) -> RecordTable:
        """Return the table with further columns of numbers (B, M), such as an image's scores."""
        names = tuple(f"{name} {index}" for index in range(numbers.shape[1]))
        return RecordTable(
            np.concatenate([self.values, numbers], axis=1),
            np.concatenate([self.is_category, np.zeros(len(names), bool)]),
            (*self.names, *names),
        )


def build_record_table(fold_list: FoldList, ids: Sequence[str]) -> RecordTable:
    """Take the records of some images from a fold list.

    Args:
        fold_list: of a dataset whose card declares records.
        ids: of the images, in the order of the rows.

    Raises:
        UserError: the list holds no records.
    """
    if fold_list.records is None:
        raise UserError(
            f"{fold_list.path}: holds no clinical records; declare them in the card (records) and run prepare again: "
            "the folds stay as they are"
        )
    records = {item.id: item.record for item in (*fold_list.training, *fold_list.test)}
    columns = fold_list.records
    rows = [[_to_number(c, v) for c, v in zip(columns, records[name] or (), strict=True)] for name in ids]
    values = np.array(rows, np.float64).reshape(len(ids), len(columns))
    is_category = np.array([column.kind == "category" for column in columns], bool)
    return RecordTable(values, is_category, tuple(column.name for column in columns))


def _to_number(column: RecordColumn, value: RecordValue) -> float:
    if value is None:
        return float("nan")
    return float(column.categories.index(value)) if isinstance(value, str) else value
