"""Records as a network takes them: one vector for each image, its scaling fitted on training images alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medmamba_monai.data.folds.fold_list import FoldList, Part
from medmamba_monai.records.table import RecordTable, build_record_table


class RecordInputs:
    """The images of a fold, each with its records encoded.

    A number becomes its distance from the training mean in training standard deviations, and an indicator of whether it
    is missing, where the first is 0. A category becomes zeros and a one for each of those that training images have,
    and an indicator of whether it is missing; one that they do not have becomes zeros alone.

    Args:
        fold_list: of a dataset whose card declares records.
        fold: number of the fold.

    Raises:
        UserError: the list holds no records, or there is no such fold.
    """

    def __init__(self, fold_list: FoldList, fold: int) -> None:
        self._parts = fold_list.parts(fold)
        tables = {
            part: build_record_table(fold_list, [item["id"] for item in kept]) for part, kept in self._parts.items()
        }
        self.names = list(tables["train"].names)
        self._vectors = {part: _encode(table, tables["train"]) for part, table in tables.items()}

    @property
    def width(self) -> int:
        """Length of a vector."""
        return int(self._vectors["train"].shape[1])

    def parts(self) -> Part:
        """Return what `FoldList.parts` does, each item with its vector as ``records``, float32."""
        return {
            part: [{**item, "records": vector} for item, vector in zip(kept, self._vectors[part], strict=True)]
            for part, kept in self._parts.items()
        }


def _encode(table: RecordTable, train: RecordTable) -> NDArray[np.float32]:
    columns: list[NDArray[Any]] = []
    for number, is_category in enumerate(table.is_category):
        values, known = table.values[:, number], train.values[:, number]
        known = known[~np.isnan(known)]
        if is_category:
            columns += [values == category for category in np.unique(known)]
        elif len(known):
            spread = float(known.std())
            columns.append(np.nan_to_num((values - known.mean()) / (spread if spread > 0 else 1.0)))
        columns.append(np.isnan(values))
    return np.stack(columns, axis=1).astype(np.float32)
