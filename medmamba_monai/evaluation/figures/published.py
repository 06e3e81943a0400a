"""A result with its interval among those that others published for the same dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from medmamba_monai.evaluation.figures.style import (
    BLUE,
    FONT_SIZE,
    INK,
    VERMILLION,
    fit,
    frame,
    wrap,
    write_title,
)
from medmamba_monai.evaluation.metrics.catalogue import CATALOGUE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS = {"auc": 3, "accuracy": 1}  # digits
_ROW_INCHES, _WIDTH, _BETWEEN, _NAME_INCHES = 0.3, 2.2, 0.8, 2.6

Row = tuple[str, Mapping[str, float]]
"""Name, and ``auc`` and ``accuracy`` as fractions."""


def draw_published(
    own: Row, published: Sequence[Row], title: str, intervals: Mapping[str, tuple[float, float]] | None = None
) -> Figure:
    """Draw AUC and accuracy of a result and of published ones, in the order of their AUC, the best first.

    Args:
        own: the result, drawn filled, its interval as a band through all rows.
        published: the others, drawn hollow.
        title: what was evaluated.
        intervals: lower and upper end of the result's 95 % interval, by ``auc`` and ``accuracy``.
    """
    from matplotlib.figure import Figure

    rows = sorted([own, *published], key=lambda row: -row[1]["auc"])
    figure = Figure()
    panels = dict(zip(_PANELS, figure.subplots(1, 2), strict=True))
    write_title(panels["auc"], title, 2 * _WIDTH + _BETWEEN, loc="left")
    for metric, axes in panels.items():
        frame(axes, CATALOGUE[metric].title)
        _draw(axes, metric, rows, own, (intervals or {}).get(metric))
    names = [wrap(name, _NAME_INCHES) for name, _ in rows]
    panels["auc"].set_yticks(range(len(rows)), names, color=INK, parse_math=False)
    panels["accuracy"].set_yticks(range(len(rows)), [""] * len(rows))
    height = len(rows) * _ROW_INCHES * (1.35 if any("\n" in name for name in names) else 1)
    places = [(0, 0, _WIDTH, height), (_WIDTH + _BETWEEN, 0, _WIDTH, height)]
    fit(figure, dict(zip(panels.values(), places, strict=True)))
    return figure


def _draw(axes: Axes, metric: str, rows: Sequence[Row], own: Row, interval: tuple[float, float] | None) -> None:
    scale, digits = 100 if CATALOGUE[metric].in_percent else 1, _PANELS[metric]
    if interval is not None:
        axes.axvspan(scale * interval[0], scale * interval[1], color=BLUE, alpha=0.12, linewidth=0)
    for place, (_, values) in enumerate(rows):
        mine, value = values is own[1], scale * values[metric]
        color = BLUE if mine else VERMILLION
        if mine and interval is not None:
            axes.hlines(place, scale * interval[0], scale * interval[1], color=color, linewidth=2.2)
        face = color if mine else "white"
        axes.plot(value, place, "o" if mine else "s", color=color, markerfacecolor=face, markersize=6.5)
        at = axes.get_yaxis_transform()
        text = f"{value:.{digits}f}"
        axes.text(1.04, place, text, transform=at, color=INK, va="center_baseline", fontsize=FONT_SIZE)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.1)
    axes.locator_params(axis="x", nbins=4)
