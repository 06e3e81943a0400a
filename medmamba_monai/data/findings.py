"""Where generated images hold what decides their class, in a file beside them: the truth that maps are held against."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from medmamba_monai.core.documents import read_document
from medmamba_monai.core.files import write_json

FINDINGS = "findings.json"
"""Name of the file, in the dataset's folder."""
EDGE = 2.0
"""Where a finding ends, in standard deviations from its center: it has 14 % of its brightness there."""


class Finding(BaseModel):
    """A two-dimensional Gaussian, bright on darker ground; lengths in pixels of the image as it is stored.

    Attributes:
        row: of the center, 0 is the middle of the first row.
        column: of the center.
        along: standard deviation along the direction of ``angle``.
        across: standard deviation across it.
        angle: between that direction and the rows' axis, which points down, radians.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    row: float
    column: float
    along: float
    across: float
    angle: float

    def draw(self, rows: int, columns: int) -> np.ndarray:
        """Return which pixels (rows, columns) of an image are no further than `EDGE` from the center."""
        down, right = np.meshgrid(np.arange(rows) - self.row, np.arange(columns) - self.column, indexing="ij")
        along = math.cos(self.angle) * down + math.sin(self.angle) * right
        across = math.cos(self.angle) * right - math.sin(self.angle) * down
        return np.hypot(along / self.along, across / self.across) <= EDGE


class Findings(BaseModel):
    """The file: the size of the images, square, and the finding of each by its path in the dataset's folder."""

    image_size: int
    findings: dict[str, Finding]


def write_findings(folder: Path, findings: Findings) -> None:
    """Write the file into the folder of the images."""
    write_json(folder / FINDINGS, findings.model_dump())


def read_findings(folder: Path) -> Findings | None:
    """Read the file of a dataset's folder; None where there is none.

    Raises:
        UserError: it cannot be read, or is no such file.
    """
    path = folder / FINDINGS
    return read_document(path, Findings) if path.is_file() else None
