"""The attention of a network to the tiles of a slide, over a thumbnail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medmamba_monai.evaluation.figures.style import FONT_SIZE, INK, Box, fit, write_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = "cividis"
"""From dark to light with rising attention: read in grayscale and with any color vision."""
MOST_TILES = 4
"""Tiles with most attention that are shown as they are."""

_INCHES, _BETWEEN, _BAR = 2.9, 0.2, 0.12
_TILE = (2 * _INCHES + _BETWEEN - (MOST_TILES - 1) * _BETWEEN) / MOST_TILES
_LINE = 0.22


def draw_attention(
    thumbnail: NDArray[np.uint8],
    corners: NDArray[np.float64],
    edge: float | tuple[float, float],
    attention: NDArray[np.float64],
    tiles: Sequence[NDArray[np.uint8]],
    title: str,
) -> Figure:
    """Draw a slide, the attention to its tiles, and the tiles with most of it.

    Colors are ranks, from the tile with least attention to that with most, so that one tile does not darken all others.
    What was no tile stays gray. Numbers below tiles are attention in multiples of an even share.

    Args:
        thumbnail: (rows, columns, 3).
        corners: (N, 2), column and row of each tile in the thumbnail, which need not be whole numbers.
        edge: of a tile in pixels of the thumbnail; columns and rows where they differ.
        attention: (N,), as shares whose even one is 1 / N.
        tiles: at most `MOST_TILES`, (H, W, 3), those with most attention in falling order.
        title: what is shown.
    """
    from matplotlib.figure import Figure

    figure = Figure()
    height = _INCHES * len(thumbnail) / thumbnail.shape[1]
    bottom = _TILE + _LINE + _BETWEEN
    boxes: dict[Axes, Box] = {}
    slide, over, bar = (figure.add_axes((0, 0, 1, 1), label=name) for name in ("slide", "attention", "bar"))
    boxes[slide] = (0, bottom, _INCHES, height)
    boxes[over] = (_INCHES + _BETWEEN, bottom, _INCHES, height)
    boxes[bar] = (2 * _INCHES + 2 * _BETWEEN, bottom, _BAR, height)
    slide.imshow(thumbnail)
    _draw_map(over, bar, thumbnail, paint_ranks(thumbnail.shape[:2], corners, edge, attention))
    order = np.argsort(-attention)
    for place, tile in enumerate(tiles):
        axes = figure.add_axes((0, 0, 1, 1), label=f"tile {place}")
        boxes[axes] = (place * (_TILE + _BETWEEN), _LINE, _TILE, _TILE)
        axes.imshow(tile)
        times = attention[order[place]] * len(attention)
        number = f"{times:,.0f}" if times >= 100 else f"{times:.3g}"
        axes.set_xlabel(f"{number} \u00d7 an even share", fontsize=FONT_SIZE - 1)
    for axes in set(boxes) - {bar}:
        axes.set(xticks=[], yticks=[])
    write_title(slide, title, 2 * _INCHES + _BETWEEN, loc="left")
    fit(figure, boxes)
    return figure


def paint_ranks(
    shape: tuple[int, int],
    corners: NDArray[np.float64],
    edge: float | tuple[float, float],
    attention: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the rank of the tile at each pixel, from 0 for least attention to 1 for most; NaN where no tile is."""
    painted = np.full(shape, np.nan)
    width, height = np.broadcast_to(edge, 2)
    ranks = np.argsort(np.argsort(attention, kind="stable"), kind="stable") / max(1, len(attention) - 1)
    for (column, row), rank in zip(corners, ranks, strict=True):
        rows = slice(round(row), max(round(row) + 1, round(row + height)))
        columns = slice(round(column), max(round(column) + 1, round(column + width)))
        painted[rows, columns] = np.fmax(painted[rows, columns], rank)
    return painted


def _draw_map(axes: Axes, bar: Axes, thumbnail: NDArray[np.uint8], painted: NDArray[np.float64]) -> None:
    axes.imshow(thumbnail.mean(axis=2), cmap="gray", vmin=0, vmax=255, alpha=0.5)
    shown = axes.imshow(painted, cmap=COLORS, vmin=0, vmax=1)
    colors = axes.figure.colorbar(shown, cax=bar, ticks=[0, 1])
    colors.ax.set_yticklabels(["least\nattention", "most\nattention"], fontsize=FONT_SIZE, color=INK)
    colors.ax.tick_params(length=0)
    colors.outline.set_visible(False)
