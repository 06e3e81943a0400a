"""How a DICOM file asks to be shown: its window or its table, comparable between the slices of a volume."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field

import numpy as np

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.intensity import apply_window

_FUNCTIONS = {"LINEAR": 1.0, "LINEAR_EXACT": 0.0, "SIGMOID": 0.0}
"""The functions of a window and the least width of each."""


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
        """From the file's units to 0 to 255.

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
        """From the file's units to 0 to 255."""
        return look_up(values, np.frombuffer(self.entries), self.first)

    def __str__(self) -> str:
        return f"VOI LUT from {self.first} ({zlib.crc32(self.entries):08x})"


@dataclass(frozen=True)
class DifferingDisplays:
    """What slices ask for that do not agree.

    Attributes:
        reason: which two, for the error.
    """

    reason: str

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
        return "windows differ"


def look_up(values: np.ndarray, table: np.ndarray, first: int) -> np.ndarray:
    """Entries of a table for values, those beyond its ends by the last entry there."""
    places = np.clip(np.rint(values).astype(np.int64) - first, 0, len(table) - 1)
    return table[places]
