"""Maps of what speaks for a class, as contours over the images that they explain.

Orange solid lines surround what speaks for the class, purple dashed ones what speaks against it: told apart without
color vision by their dashes, and in grayscale too. The thicker line surrounds what is stronger. Lines surround a small
part of an image at most: a map that is nearly even, as many are that have no negative values, would else fill it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medmamba_monai.evaluation.figures.style import INK, fit, wrap, write_title
from medmamba_monai.evaluation.figures.tiles import (
    BETWEEN,
    CAPTION_SIZE,
    TILE_INCHES,
    place_tiles,
    write_caption,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOR, AGAINST = "#F1A340", "#998EC3"
"""Both lighter than most tissue and told apart with any color vision: the sides of ColorBrewer's PuOr."""
LEVELS = (0.35, 0.7)
"""Where lines are drawn, in parts of the largest size of a value."""
SHARES = (0.2, 0.05)
"""What part of an image has values beyond each line, at most."""
SMOOTH = 16
"""What part of an edge the standard deviation of the smoothing before drawing is, 1 by this."""

_WIDTHS = (1.0, 2.0)
_FILL = 0.3
_PLACE: dict[str, Any] = {"colors": "white", "linewidths": 1.2, "linestyles": "dotted"}


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture.

    Attributes:
        image: uint8 (rows, columns), or (rows, columns, 3).
        caption: below it, a line each.
        values: the map (rows, columns) over it, of any resolution; None for the image alone.
        place: where the finding is, bool (rows, columns), dotted; None where that is not known.
    """

    image: NDArray[np.uint8]
    caption: Sequence[str]
    values: NDArray[np.float32] | None = None
    place: NDArray[np.bool_] | None = None


def draw_maps(tiles: Sequence[Tile], columns: int, title: str) -> Figure:
    """Draw tiles in rows, with what the lines mean below.

    Args:
        tiles: at least one.
        columns: tiles in a row.
        title: of the figure.
    """
    from matplotlib.figure import Figure

    columns = min(columns, len(tiles))
    captions = [[wrap(line, TILE_INCHES, size=CAPTION_SIZE) for line in tile.caption] for tile in tiles]
    lines = [sum(line.count("\n") + 1 for line in caption) for caption in captions]
    figure = Figure()
    boxes = {
        figure.add_axes((0, 0, 1, 1), label=str(number)): box for number, box in enumerate(place_tiles(lines, columns))
    }
    for axes, tile, caption in zip(boxes, tiles, captions, strict=True):
        _draw_tile(axes, tile, "\n".join(caption))
    width = columns * (TILE_INCHES + BETWEEN) - BETWEEN
    height = max(bottom for _, bottom, _, _ in boxes.values()) + TILE_INCHES
    whole = figure.add_axes((0, 0, 1, 1), label="whole", frameon=False, xticks=[], yticks=[])
    write_title(whole, title, width, pad=8)
    whole.set_xlabel(
        wrap(_explain(tiles), max(width, 3.4), lines=4, size=CAPTION_SIZE), fontsize=CAPTION_SIZE, color=INK
    )
    fit(figure, {whole: (0, 0, width, height), **boxes})
    return figure


def _explain(tiles: Sequence[Tile]) -> str:
    note = "orange, solid: for the class"
    if any(tile.values is not None and tile.values.min() < 0 for tile in tiles):
        note += "; purple, dashed: against it"
    if any(tile.place is not None for tile in tiles):
        note += "; white, dotted: where the finding is"
    return note


def _draw_tile(axes: Axes, tile: Tile, caption: str) -> None:
    rows, columns = tile.image.shape[:2]
    extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    axes.imshow(tile.image, cmap="gray", vmin=0, vmax=255, extent=extent)
    if tile.values is not None:
        _draw_lines(axes, tile.values, rows, columns)
    if tile.place is not None:
        axes.contour(*_make_grid(tile.place, rows, columns), tile.place.astype(float), levels=[0.5], **_PLACE)
    axes.set(xticks=[], yticks=[], anchor="SW", xlim=extent[:2], ylim=extent[2:])
    axes.spines[:].set(color=INK, linewidth=0.6)
    write_caption(axes, caption)


def _draw_lines(axes: Axes, values: NDArray[np.float32], rows: int, columns: int) -> None:
    from matplotlib.patheffects import AbstractPathEffect, withStroke

    smooth = smooth_map(values)
    if not smooth.any():
        return
    chosen = choose_levels(smooth)
    grid = _make_grid(values, rows, columns)
    for sign, color, style in ((1, FOR, "solid"), (-1, AGAINST, "dashed")):
        signed = sign * smooth
        levels = [level for level in chosen if signed.max() > level]
        if not levels:
            continue
        axes.contourf(*grid, signed, levels=[levels[0], np.inf], colors=color, alpha=_FILL)
        drawn = axes.contour(
            *grid, signed, levels=levels, colors=color, linestyles=style, linewidths=_WIDTHS[-len(chosen) :]
        )
        halo: list[AbstractPathEffect] = [withStroke(linewidth=_WIDTHS[-1] + 1.0, foreground="black", alpha=0.5)]
        drawn.set_path_effects(halo)


def choose_levels(values: NDArray[np.float32]) -> list[float]:
    """Return the sizes of values at which lines are drawn, ascending: `LEVELS`, and more where `SHARES` ask for it.

    Example:
        >>> choose_levels(np.append(np.arange(20.0), 40))
        [16.0, 28.0]
    """
    sizes = np.abs(values)
    asked = zip(LEVELS, SHARES, strict=True)
    return sorted({float(max(level * sizes.max(), np.quantile(sizes, 1 - share))) for level, share in asked})


def smooth_map(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a map as it is drawn: lines around single pixels could not be read."""
    sigmas = [edge / SMOOTH for edge in values.shape]
    return np.asarray(ndimage.gaussian_filter(np.asarray(values, np.float32), sigmas, mode="nearest"))


def _make_grid(values: NDArray[Any], rows: int, columns: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where the middles of a map's pixels are on an image: of each column, of each row."""
    down, right = values.shape
    return (np.arange(right) + 0.5) * columns / right - 0.5, (np.arange(down) + 0.5) * rows / down - 0.5


def choose_planes(volume: NDArray[Any], values: NDArray[np.float32]) -> list[tuple[str, NDArray[Any], Any]]:
    """Cut a volume and its map in three planes through the map's largest value, as radiologists see them.

    Args:
        volume: (x, y, z), to the patient's right, front and top, one axis more in front for channels.
        values: (x, y, z).

    Returns:
        The plane's name, the image (channels, rows, columns) and the map (rows, columns) of each.
    """
    place = np.unravel_index(np.argmax(smooth_map(values)), values.shape)
    sizes = zip(place, volume.shape[1:], values.shape, strict=True)
    scaled = [round((at + 0.5) * edge / size - 0.5) for at, edge, size in sizes]
    names = ("sagittal", "coronal", "axial")
    return [
        (name, _turn(np.take(volume, scaled[axis], axis + 1)), _turn(np.take(values, place[axis], axis)))
        for axis, name in reversed(list(enumerate(names)))
    ]


def _turn(plane: NDArray[Any]) -> NDArray[Any]:
    """Lay a plane of two axes to the right, front or top so that the second goes up and the first to the left."""
    return np.flip(np.swapaxes(plane, -1, -2), axis=(-1, -2))
