"""How good methods are: mean curves of what a class keeps, and each method's mean with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from medmamba_monai.evaluation.figures.style import (
    BLUE,
    FONT_SIZE,
    INK,
    choose_line_style,
    fit,
    frame,
    limit_axis,
    measure_text,
    write_legend,
)
from medmamba_monai.evaluation.scores import FloatArray
from medmamba_monai.evaluation.statistics.resampling import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = tuple[str, float, Interval | str, bool]
"""Name, mean, its interval, and whether the best is shown to be better."""

_SIDE, _ACROSS, _ROW, _PANEL, _BELOW = 2.6, 0.7, 0.27, 1.6, 0.75


def draw_curves(panels: Mapping[str, Mapping[str, FloatArray]], xlabel: str, ylabel: str) -> Figure:
    """Draw mean curves from 0 to 100 % in panels beside each other.

    Args:
        panels: the values (steps + 1,) of each curve by its name, by the title of the panel; the same names in each.
        xlabel: what grows, percent.
        ylabel: what is drawn, 0 to 1.
    """
    from matplotlib.figure import Figure

    figure = Figure()
    boxes = {}
    for number, (title, curves) in enumerate(panels.items()):
        axes = figure.add_axes((0, 0, 1, 1), label=title)
        frame(axes, xlabel, ylabel if not number else "")
        limit_axis(axes, "y")
        for index, values in enumerate(curves.values()):
            axes.plot(np.linspace(0, 100, len(values)), values, linewidth=1.6, **choose_line_style(index))
        axes.set_title(title, fontsize=FONT_SIZE + 1, color=INK, parse_math=False)
        axes.tick_params(labelleft=not number)
        boxes[axes] = (number * (_SIDE + _ACROSS / 2), 0.0, _SIDE, _SIDE)
    first, names = next(iter(boxes)), next(iter(panels.values()))
    write_legend(first, [(line, name) for line, name in zip(first.lines, names, strict=True)], columns=2)
    fit(figure, boxes)
    return figure


def draw_standings(panels: Mapping[str, Sequence[Row]]) -> Figure:
    """Draw the mean of each method with its interval, a panel for each criterion, the best on top.

    A dot is filled where the method is not shown to be behind the best.

    Args:
        panels: rows, the best first, by the title of the criterion.
    """
    from matplotlib.figure import Figure

    figure = Figure()
    room = max(measure_text(name) for rows in panels.values() for name, *_ in rows) + _ACROSS
    boxes = {}
    for number, (title, rows) in enumerate(panels.items()):
        axes = figure.add_axes((0, 0, 1, 1), label=title)
        frame(axes)
        for place, (_, mean, interval, behind) in enumerate(rows):
            if isinstance(interval, Interval):
                axes.hlines(place, interval.low, interval.high, color=BLUE, linewidth=1.8)
            axes.plot(mean, place, "o", color=BLUE, markerfacecolor="white" if behind else BLUE, markersize=5.5)
        axes.set_yticks(range(len(rows)), [name for name, *_ in rows], parse_math=False)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.margins(x=0.08)
        axes.locator_params(axis="x", nbins=4)
        axes.set_title(title, fontsize=FONT_SIZE + 1, color=INK, parse_math=False)
        row, column = divmod(number, 2)
        height = _ROW * len(rows)
        boxes[axes] = (column * (_PANEL + room), -row * (height + _BELOW), _PANEL, height)
    fit(figure, boxes)
    return figure
