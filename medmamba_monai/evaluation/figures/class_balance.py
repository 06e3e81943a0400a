"""The balance of classes: how many images of each are in each fold and in the test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.style import (
    DARK_PERCENT,
    FAINT_INK,
    FONT_SIZE,
    INK,
    SEQUENTIAL_COLORS,
    fit,
    wrap,
    write_title,
)
from medmamba_monai.evaluation.scores import IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELL_WIDTH, _CELL_HEIGHT, _CLASS_INCHES = 0.66, 0.42, 1.9


def draw_class_balance(counts: Mapping[str, Sequence[int]], class_names: Sequence[str], title: str) -> Figure:
    """Draw how many images of each class are in each part, and their share of the part, which is the cell's color.

    In a balanced division each row has one color. The counts of a multi-label task overlap: its shares are those of
    all labels in the part.

    Args:
        counts: images of each of the C classes, by the name of the part: ``fold 0``, ..., ``test``.
        class_names: C names; long ones are wrapped, very long ones shortened.
        title: what was divided.

    Raises:
        UserError: there are no parts, a part has not C counts, a count is negative, or a part has no images.
    """
    from matplotlib.figure import Figure

    table = _count_table(counts, len(class_names))
    shares = 100 * table / table.sum(axis=0)
    figure = Figure()
    axes = figure.add_subplot()
    axes.imshow(shares, cmap=SEQUENTIAL_COLORS, vmin=0, vmax=shares.max(), aspect="auto")
    for (row, column), count in np.ndenumerate(table):
        color = "white" if shares[row, column] > shares.max() * DARK_PERCENT / 100 else INK if count else FAINT_INK
        text = f"{count:,}\n{shares[row, column]:.1f}%"
        axes.text(column, row, text, color=color, ha="center", va="center", fontsize=FONT_SIZE - 1, linespacing=1.1)
    columns = [f"{wrap(part, _CELL_WIDTH)}\n{total:,}" for part, total in zip(counts, table.sum(axis=0), strict=True)]
    _name_table(axes, [wrap(name, _CLASS_INCHES) for name in class_names], columns)
    width = len(columns) * _CELL_WIDTH
    write_title(axes, title, width)
    fit(figure, {axes: (0, 0, width, len(class_names) * _CELL_HEIGHT)})
    return figure


def _count_table(counts: Mapping[str, Sequence[int]], num_classes: int) -> IntArray:
    """Check the counts and lay them out (classes, parts)."""
    if not counts:
        raise UserError("there are no parts to draw: give the counts of at least one")
    for part, numbers in counts.items():
        if len(numbers) != num_classes or min(numbers) < 0 or not sum(numbers):
            raise UserError(f"the counts of {part} are {list(numbers)}: give {num_classes} of 0 or more, not all 0")
    return np.array(list(counts.values()), dtype=np.int64).T


def _name_table(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    axes.set_yticks(range(len(rows)), rows, fontsize=FONT_SIZE, color=INK, parse_math=False)
    axes.set_xticks(range(len(columns)), columns, fontsize=FONT_SIZE, color=INK, parse_math=False)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.hlines(np.arange(len(rows) - 1) + 0.5, -0.5, len(columns) - 0.5, color="white", linewidth=1)
    axes.vlines(np.arange(len(columns) - 1) + 0.5, -0.5, len(rows) - 0.5, color="white", linewidth=1)
