"""Slides through OpenSlide, which reads the formats of most scanners and tiled TIFF, a region at a time.

OpenSlide and its library are two small packages; tiffslide, which is Python alone, needs six, among them the codecs of
imagecodecs, and reads no MIRAX and no DICOM.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.images.file_errors import check_regular_file

EXTRA = "medmamba-monai[slides]"
SLIDE_SUFFIXES = (".svs", ".tif", ".tiff", ".ndpi", ".scn", ".mrxs", ".bif", ".svslide", ".czi")
MIRAX = ".mrxs"
"""A file beside a folder of its name, which holds the pixels."""

_BLOCK = 2048
"""Edge in pixels of what is decoded at once for an overview."""
_MORE_DETAIL = 0.9
"""Smallest downsample that a slide gives: below it pixels would be made up."""


def is_slide_file(path: Path) -> bool:
    """Return whether a file has a suffix of slides."""
    return path.suffix.lower() in SLIDE_SUFFIXES and path.is_file()


def list_slide_files(path: Path) -> tuple[Path, ...]:
    """Return the files that a slide is made of, its own first."""
    if path.suffix.lower() != MIRAX:
        return (path,)
    return (path, *sorted(file for file in path.with_suffix("").rglob("*") if file.is_file()))


class Slide:
    """An open slide. A context manager; to be used by one thread at a time.

    Attributes:
        name: of its file, for messages.
        width: columns of the finest level, pixels.
        height: rows of the finest level, pixels.
        microns_per_pixel: edge of a pixel of the finest level; None where the file does not say.

    Args:
        path: the file.

    Raises:
        UserError: OpenSlide is not installed, or it does not read the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.name = format_path(path)
        self._file = _open(Path(path), self.name)
        self.width, self.height = self._file.dimensions
        self.microns_per_pixel = self._read_scale()

    def __enter__(self) -> Slide:
        """Return the slide."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def read(self, corner: tuple[int, int], downsample: float, size: tuple[int, int]) -> np.ndarray:
        """Read a region; what lies outside the slide, or was not scanned, is white.

        Args:
            corner: column and row of its left upper corner, pixels of the finest level.
            downsample: pixels of the finest level to one of the region, along an edge.
            size: columns and rows of the region.

        Returns:
            uint8 (rows, columns, 3).

        Raises:
            UserError: the file is damaged there, or has less detail than is asked for.
        """
        if downsample < _MORE_DETAIL:
            raise UserError(
                f"{self.name}: its finest level has {1 / downsample:.2f} times less detail than the tiles that are "
                "declared; choose larger microns_per_pixel in the card"
            )
        level, ratio = self._choose_level(downsample)
        wanted = (max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio)))
        region = self._read_region(corner, level, wanted)
        white = Image.new("RGBA", region.size, "white")
        picture = Image.alpha_composite(white, region).convert("RGB")
        return np.asarray(picture if wanted == size else picture.resize(size, Image.Resampling.BILINEAR))

    def read_overview(self, downsample: float) -> np.ndarray:
        """Read the whole slide with less detail, block by block.

        Args:
            downsample: pixels of the finest level to one of the overview, along an edge; at least 1.

        Returns:
            uint8 (rows, columns, 3).

        Raises:
            UserError: see `read`.
        """
        columns, rows = (max(1, math.ceil(edge / downsample)) for edge in (self.width, self.height))
        overview = np.empty((rows, columns, 3), np.uint8)
        step = max(1, int(_BLOCK / self._choose_level(downsample)[1]))
        for top in range(0, rows, step):
            for left in range(0, columns, step):
                size = (min(step, columns - left), min(step, rows - top))
                corner = (round(left * downsample), round(top * downsample))
                overview[top : top + size[1], left : left + size[0]] = self.read(corner, downsample, size)
        return overview

    def read_thumbnail(self, edge: int) -> np.ndarray:
        """Read the whole slide with at most so many pixels along its longer edge; uint8 (rows, columns, 3)."""
        return self.read_overview(max(1.0, max(self.width, self.height) / edge))

    def _read_region(self, corner: tuple[int, int], level: int, size: tuple[int, int]) -> Image.Image:
        import openslide

        try:
            region: Image.Image = self._file.read_region(corner, level, size)
        except openslide.OpenSlideError as error:
            raise _explain_damage(self.name, error) from error
        return region

    def _choose_level(self, downsample: float) -> tuple[int, float]:
        """Return the coarsest level with enough detail, and how many of its pixels make one that is asked for."""
        level = self._file.get_best_level_for_downsample(downsample * 1.01)
        return level, downsample / self._file.level_downsamples[level]

    def _read_scale(self) -> float | None:
        found = [self._file.properties.get(f"openslide.mpp-{axis}") for axis in "xy"]
        values = [float(value) for value in found if value]
        return sum(values) / 2 if len(values) == 2 and min(values) > 0 else None


def _open(path: Path, name: str) -> Any:
    check_regular_file(path)
    if find_spec("openslide") is None:
        raise UserError(f"{name}: is read as a slide, for which OpenSlide is missing: pip install '{EXTRA}'")
    import openslide

    try:
        return openslide.OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise UserError(
            f"{name}: is no slide that OpenSlide reads; export it as a tiled, pyramidal TIFF, or move it away"
        ) from error
    except openslide.OpenSlideError as error:
        raise _explain_damage(name, error) from error


def _explain_damage(name: str, error: Exception) -> UserError:
    return UserError(f"{name}: is damaged ({error}); copy or export the slide again")
