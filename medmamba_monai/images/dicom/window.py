"""Windows and VOI tables (PS3.3 C.11.2): applied to values, read from a DICOM file, compared between its slices."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.dicom.header import BrokenAttributeError, blame_attribute, read_code, read_items
from medmamba_monai.images.dicom.lookup_tables import look_up, read_lookup_table
from medmamba_monai.images.raw_image import Display

_FUNCTIONS = {"LINEAR": 1.0, "LINEAR_EXACT": 0.0, "SIGMOID": 0.0}
"""The functions of a window and the least width of each."""


def apply_window(values: np.ndarray, center: float, width: float, function: str = "LINEAR_EXACT") -> np.ndarray:
    """Apply a window by the formulas of DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3.

    Args:
        values: in the units of the window.
        center: the value that becomes middle gray.
        width: the values around it that become black to white; positive, at least 1 for LINEAR.
        function: LINEAR, LINEAR_EXACT or SIGMOID.

    Returns:
        float64 array, 0 to 255.
    """
    values = values.astype(np.float64)
    if function == "SIGMOID":
        return 255 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        return np.where(values > center, 255.0, 0.0)
    return np.clip(((values - center) / width + 0.5) * 255, 0, 255)


@dataclass(frozen=True)
class WindowDisplay:
    """A window.

    Attributes:
        center: the value that becomes middle gray, in the file's units.
        width: the values around it that become black to white.
        function: LINEAR, LINEAR_EXACT or SIGMOID; of a damaged file anything.
        name: the file, for errors.
    """

    center: float
    width: float
    function: str = "LINEAR"
    name: str = field(default="", compare=False)

    @property
    def usable(self) -> bool:
        """Whether the numbers have a meaning."""
        least = _FUNCTIONS.get(self.function, math.inf)
        return math.isfinite(self.center) and math.isfinite(self.width) and self.width >= least and self.width > 0

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Convert values from the file's units to 0 to 255.

        Raises:
            UserError: the numbers have no meaning.
        """
        if not self.usable:
            raise UserError(
                f"{self.name}: its window (center {self.center:g}, width {self.width:g}, {self.function}) has no "
                "meaning; declare window or intensity_range"
            )
        return apply_window(values, self.center, self.width, self.function)

    def __str__(self) -> str:
        return f"window {self.center:g}, {self.width:g}" + f", {self.function}" * (self.function != "LINEAR")


@dataclass(frozen=True)
class TableDisplay:
    """A VOI lookup table.

    Attributes:
        entries: float64 values from 0 to 255, as bytes.
        first: the value that the first entry is for.
    """

    entries: bytes
    first: int

    @property
    def usable(self) -> bool:
        """A table always is."""
        return True

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Convert values from the file's units to 0 to 255."""
        return look_up(values, np.frombuffer(self.entries), self.first)

    def __str__(self) -> str:
        return f"VOI LUT from {self.first} ({zlib.crc32(self.entries):08x})"


@dataclass(frozen=True)
class UnusableDisplay:
    """What a file asks for that cannot be done, or what slices ask for that do not agree.

    Attributes:
        reason: which and why, for the error.
        words: what facts say of it.
    """

    reason: str = field(compare=False)
    words: str

    @property
    def usable(self) -> bool:
        """They never are."""
        return False

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Refuse.

        Raises:
            UserError: always.
        """
        raise UserError(f"{self.reason}; declare window or intensity_range")

    def __str__(self) -> str:
        return self.words


def read_display(
    voi: Dataset, nominal: tuple[float, float] | None, order: str, name: str
) -> TableDisplay | WindowDisplay | UnusableDisplay | None:
    """Read how a file asks to be shown.

    Args:
        voi: the part of its header that tells.
        nominal: the range of the rescaled values, where it is known.
        order: NumPy's sign of the file's byte order.
        name: the file, for errors.

    Returns:
        Its first table or else its first window, or what says why that cannot be used; None where it has neither.
    """
    try:
        return _read_table(voi, nominal, order) or _read_window(voi, name)
    except BrokenAttributeError as error:  # another display may be declared
        return UnusableDisplay(f"{name}: {error}", "not known")


def _read_table(voi: Dataset, nominal: tuple[float, float] | None, order: str) -> TableDisplay | None:
    tables = read_items(voi, "VOILUTSequence")
    if not tables:
        return None
    with blame_attribute("VOILUTSequence"):
        table, first, bits = read_lookup_table(tables[0], nominal is not None and nominal[0] < 0, order)
        return TableDisplay((table * (255 / (2.0**bits - 1))).tobytes(), first)


def _read_window(voi: Dataset, name: str) -> WindowDisplay | None:
    center, width = _read_first(voi, "WindowCenter"), _read_first(voi, "WindowWidth")
    if center is None or width is None:
        return None
    return WindowDisplay(center, width, read_code(voi, "VOILUTFunction", "LINEAR").upper(), name)


def find_common_display(displays: Sequence[Display | None], names: Sequence[str]) -> Display | None:
    """Return the display that all slices of a volume ask for, or one that refuses where they differ.

    Args:
        displays: what each slice asks for.
        names: their files, for the error.
    """
    first = displays[0]
    for display, name in zip(displays, names, strict=True):
        if display != first:
            return UnusableDisplay(
                f"{name}: asks for {display or 'no window'}, but {names[0]} of the same volume for "
                f"{first or 'no window'}",
                "windows differ",
            )
    return first


def _read_first(voi: Dataset, keyword: str) -> float | None:
    """Return the first of one or several numbers; None where there is none."""
    with blame_attribute(keyword):
        value: Any = voi.get(keyword)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if not isinstance(value, (int, float)) and not hasattr(value, "as_tuple"):
            value = value[0] if len(value) else None
        return None if value in (None, "") else float(value)
