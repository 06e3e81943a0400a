"""Lookup tables of DICOM files (PS3.3 C.11.1 and C.11.2): read once, and applied to any values."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset


def read_lookup_table(item: Dataset, signed: bool, order: str) -> tuple[np.ndarray, int, int]:
    """Read a table.

    Args:
        item: the item of a sequence that holds it.
        signed: whether the values that it maps may be negative.
        order: NumPy's sign of the file's byte order.

    Returns:
        Its entries, the first value that is mapped, and the bits of an entry.

    Raises:
        ValueError: it is damaged.
    """
    entries, first, bits = (int(part) for part in item.LUTDescriptor)
    entries = entries or 2**16
    data = item.LUTData
    if isinstance(data, bytes):
        kind = np.uint8 if len(data) < 2 * entries else np.dtype(order + "u2")
        data = np.frombuffer(data, kind)
    table = np.asarray(data)[:entries]
    if len(table) < entries or not 1 <= bits <= 16:
        raise ValueError(f"a lookup table of {entries} entries with {bits} bits has {len(table)}")
    return table, first - 2**16 if signed and first >= 2**15 else first, bits


def look_up(values: np.ndarray, table: np.ndarray, first: int) -> np.ndarray:
    """Replace values by entries of a table, those beyond its ends by the last entry there.

    Args:
        values: of any shape and type.
        table: (entries,) or (entries, 3).
        first: the value that the first entry is for.
    """
    places = np.clip(np.rint(values).astype(np.int64) - first, 0, len(table) - 1)
    return table[places]
