"""What corruptions of images change, by kind and severity, in small panels of one scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from medmamba_monai.evaluation.figures.style import BLUE, FAINT_INK, FONT_SIZE, INK, fit, frame
from medmamba_monai.evaluation.statistics.resampling import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Changes = Mapping[int, tuple[float, Interval | str]]
"""Change and its interval by severity."""

_COLUMNS, _WIDTH, _HEIGHT, _ACROSS, _DOWN = 4, 1.5, 1.1, 0.25, 0.6


def draw_robustness(corruptions: Mapping[str, Changes], title: str) -> Figure:
    """Draw the changes of a metric with their intervals, a panel for each kind of corruption.

    A dot is filled where its interval leaves out 0.

    Args:
        corruptions: changes by severity, by the name of the corruption.
        title: of the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure()
    columns = min(_COLUMNS, len(corruptions))
    rows = math.ceil(len(corruptions) / columns)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    boxes = {}
    for number, axes in enumerate(panels.flat):
        row, column = divmod(number, columns)
        if number >= len(corruptions):
            axes.remove()
            continue
        name = list(corruptions)[number]
        _draw(axes, name, corruptions[name])
        lowest = number + columns >= len(corruptions)
        frame(axes, "severity" if lowest else "")
        axes.tick_params(labelbottom=lowest, labelleft=column == 0)
        boxes[axes] = (column * (_WIDTH + _ACROSS), (rows - 1 - row) * (_HEIGHT + _DOWN), _WIDTH, _HEIGHT)
    fit(figure, boxes)
    _write_heading(figure, title, boxes)
    return figure


def _write_heading(figure: Figure, title: str, boxes: Mapping[Axes, tuple[float, float, float, float]]) -> None:
    first = next(iter(boxes))
    first.annotate(
        title,
        (0, 1),
        (0, 26),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=FONT_SIZE + 1,
        color=INK,
        parse_math=False,
    )
    fit(figure, boxes)


def _draw(axes: Axes, name: str, changes: Changes) -> None:
    axes.axhline(0, color=FAINT_INK, linewidth=1, linestyle=(0, (3, 2)), zorder=1)
    axes.plot(list(changes), [change for change, _ in changes.values()], color=BLUE, linewidth=1)
    for severity, (change, interval) in changes.items():
        shown = False
        if isinstance(interval, Interval):
            shown = not interval.low <= 0 <= interval.high
            axes.vlines(severity, interval.low, interval.high, color=BLUE, linewidth=1.8)
        axes.plot(severity, change, "o", color=BLUE, markerfacecolor=BLUE if shown else "white", markersize=5)
    axes.set_title(name, fontsize=FONT_SIZE, color=INK, parse_math=False)
    axes.set_xticks(list(changes))
    axes.margins(x=0.12)
    axes.locator_params(axis="y", nbins=4)
