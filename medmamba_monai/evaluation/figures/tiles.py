"""Pictures in rows with captions below them: their places, and how a caption is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medmamba_monai.evaluation.figures.style import FONT_SIZE, INK, Box, measure_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CAPTION_SIZE = FONT_SIZE - 1
TILE_INCHES, BETWEEN = 1.25, 0.14
_LINE_INCHES = 1.2 * CAPTION_SIZE / 72


def place_tiles(lines: Sequence[int], columns: int) -> list[Box]:
    """Return left, bottom, width and height of each tile; below each row there is room for its longest caption.

    Args:
        lines: of each caption.
        columns: tiles in a row.
    """
    boxes: list[Box] = []
    bottom = 0.0
    for start in reversed(range(0, len(lines), columns)):
        row = lines[start : start + columns]
        bottom += max(row) * _LINE_INCHES + BETWEEN
        places = [(index * (TILE_INCHES + BETWEEN), bottom, TILE_INCHES, TILE_INCHES) for index in range(len(row))]
        boxes = places + boxes
        bottom += TILE_INCHES + BETWEEN
    return boxes


def shorten_start(text: str) -> str:
    """Return as much of a text as fits into a line below a tile, from its end: there the files of a folder differ."""
    shown = text
    while measure_text(shown, CAPTION_SIZE) > TILE_INCHES:
        shown = "…" + shown.lstrip("…")[1:]
    return shown


def write_caption(axes: Axes, text: str) -> None:
    """Write lines below a tile."""
    axes.annotate(
        text,
        (0, 0),
        (0, -5),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="left",
        va="top",
        fontsize=CAPTION_SIZE,
        color=INK,
        linespacing=1.1,
        parse_math=False,
    )
