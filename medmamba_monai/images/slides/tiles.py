"""Tiles of a slide: square pieces of its tissue at a declared magnification."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.slides.open import Slide
from medmamba_monai.images.slides.tissue import find_tissue

_ACROSS = 16
"""Pixels of the overview along the edge of a tile, where the overview does not become too large."""
_OVERVIEW = 4096
"""Longest edge of an overview in pixels, which bounds what finding tissue takes in memory."""


class Tiling(BaseModel):
    """How slides are cut into tiles, as a card declares it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    microns_per_pixel: float | None = Field(
        default=None, gt=0, description="edge of a tile's pixel; each slide must say its own"
    )
    downsample: float | None = Field(
        default=None,
        ge=1,
        description="pixels of a slide's finest level to one of a tile; instead of microns_per_pixel",
    )
    min_tissue: float = Field(default=0.5, ge=0, le=1, description="share of a tile that must be tissue")
    max_tiles: int = Field(
        default=10_000,
        ge=1,
        description="tiles of one slide at most; of more, as many that are evenly spread are taken",
    )

    @model_validator(mode="after")
    def _names_one_magnification(self) -> Tiling:
        if (self.microns_per_pixel is None) == (self.downsample is None):
            raise ValueError("tiling: give microns_per_pixel or downsample")
        return self

    def find_downsample(self, slide: Slide) -> float:
        """Return how many pixels of a slide's finest level make one of a tile, along an edge.

        Raises:
            UserError: the slide does not say how large its pixels are, which must be known.
        """
        if self.downsample is not None:
            return self.downsample
        assert self.microns_per_pixel is not None
        if slide.microns_per_pixel is None:
            raise UserError(
                f"{slide.name}: does not say how many microns a pixel has; declare downsample in place of "
                "microns_per_pixel in the card, if all slides have one magnification"
            )
        return self.microns_per_pixel / slide.microns_per_pixel


@dataclass(frozen=True)
class Tiles:
    """The tiles of a slide that are used.

    Attributes:
        corners: int64 (N, 2), column and row of each left upper corner in pixels of the finest level, row by row.
        downsample: pixels of the finest level to one of a tile, along an edge.
        size: edge of a tile in its own pixels.
        with_tissue: how many tiles have enough tissue, those that are left out by `Tiling.max_tiles` included.
        total: how many cover the whole slide.
    """

    corners: np.ndarray
    downsample: float
    size: int
    with_tissue: int
    total: int

    @property
    def usable(self) -> int:
        """How many could be used; `Tiling.max_tiles` may leave some of them out."""
        return self.with_tissue

    @property
    def edge(self) -> float:
        """Edge of a tile in pixels of the finest level."""
        return self.size * self.downsample


def find_tiles(slide: Slide, tiling: Tiling, size: int) -> Tiles:
    """Find the tiles of a slide that show tissue; those at its right and lower edge may be filled up with white.

    Args:
        slide: the slide.
        tiling: how it is cut.
        size: edge of a tile in pixels.

    Raises:
        UserError: the slide shows no tissue, or cannot be cut so.
    """
    downsample = tiling.find_downsample(slide)
    edge = size * downsample
    coarse = max(1.0, edge / _ACROSS, max(slide.width, slide.height) / _OVERVIEW)
    tissue = find_tissue(slide.read_overview(coarse))
    lefts, tops = (np.arange(math.ceil(length / edge)) * edge for length in (slide.width, slide.height))
    shares = _average_blocks(tissue, tops / coarse, lefts / coarse, edge / coarse)
    rows, columns = np.nonzero((shares >= tiling.min_tissue) & (shares > 0))
    if not len(rows):
        raise UserError(
            f"{slide.name}: shows no tissue: none of its {shares.size:,} tiles of {size} pixels is stained on at least "
            f"{tiling.min_tissue:.0%}; look at the slide, or choose a smaller min_tissue in the card"
        )
    kept = np.linspace(0, len(rows) - 1, min(len(rows), tiling.max_tiles)).round().astype(int)
    corners = np.stack([lefts[columns[kept]], tops[rows[kept]]], axis=1).round().astype(np.int64)
    return Tiles(corners, downsample, size, len(rows), shares.size)


def read_tile(slide: Slide, tiles: Tiles, index: int) -> np.ndarray:
    """Read one tile; uint8 (size, size, 3).

    Raises:
        UserError: the slide is damaged there.
    """
    column, row = tiles.corners[index]
    return slide.read((int(column), int(row)), tiles.downsample, (tiles.size, tiles.size))


def _average_blocks(tissue: np.ndarray, tops: np.ndarray, lefts: np.ndarray, edge: float) -> np.ndarray:
    """Return the share of tissue (rows, columns) in square blocks; what is outside the overview is none."""
    sums = np.zeros((tissue.shape[0] + 1, tissue.shape[1] + 1), np.int32)
    np.cumsum(tissue, axis=0, dtype=np.int32, out=sums[1:, 1:])
    np.cumsum(sums, axis=1, out=sums)
    first, last = (_bound(place, tissue.shape[0]) for place in (tops, tops + edge))
    left, right = (_bound(place, tissue.shape[1]) for place in (lefts, lefts + edge))
    inside = sums[last][:, right] - sums[first][:, right] - sums[last][:, left] + sums[first][:, left]
    return np.asarray(inside / max(1.0, round(edge) ** 2))


def _bound(places: np.ndarray, length: int) -> np.ndarray:
    return np.clip(np.rint(places), 0, length).astype(int)
