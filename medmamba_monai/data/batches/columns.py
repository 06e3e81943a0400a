"""The entries of all items beside their images, ready to be taken for a batch without a loop over its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data.utils import list_data_collate
from torch.utils.data import default_collate

_NUMBERS = (torch.Tensor, np.ndarray, np.generic, bool, int, float)


class Columns:
    """Entries of items by name: numbers and arrays of one shape as one tensor each, others as they are.

    Args:
        items: mappings of the same entries; of others, each batch is put together on its own.
    """

    def __init__(self, items: Sequence[Mapping[str, Any]]) -> None:
        self._items = items
        names = [*items[0]] if items else []
        alike = all(list(item) == names for item in items)
        values = {name: [item[name] for item in items] for name in names} if alike else {}
        self._tensors = {name: default_collate(column) for name, column in values.items() if _fits_a_tensor(column)}
        self._others = {name: column for name, column in values.items() if name not in self._tensors}
        self._names = names if alike else None

    def take(self, indices: Sequence[int]) -> dict[str, Any]:
        """Return the entries of some items as `list_data_collate` does."""
        if self._names is None:
            collated: dict[str, Any] = list_data_collate([self._items[index] for index in indices])
            return collated
        rows = torch.tensor(list(indices))
        return {
            name: self._tensors[name][rows]
            if name in self._tensors
            else default_collate([self._others[name][index] for index in indices])
            for name in self._names
        }


def _fits_a_tensor(column: Sequence[Any]) -> bool:
    """Return whether all values are numbers or arrays of one type and shape."""
    kinds = {(type(value), getattr(value, "dtype", None), np.shape(value)) for value in column}
    return len(kinds) == 1 and all(isinstance(value, _NUMBERS) for value in column)
