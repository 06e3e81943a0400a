"""The picture of a comparison: every model with its interval, and beside it every difference with its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medmamba_monai.evaluation.figures.style import BLUE, FAINT_INK, INK, VERMILLION, fit, frame, wrap, write_title
from medmamba_monai.evaluation.metrics.catalogue import CATALOGUE
from medmamba_monai.evaluation.results.comparison import COMPARED, Comparison
from medmamba_monai.evaluation.statistics.resampling import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _ROW_INCHES, _NAME_INCHES, _BETWEEN_COLUMNS, _BETWEEN_ROWS = 1.9, 0.42, 1.5, 2.0, 0.75

FACTS = "facts alone"
"""The row of what a model without pictures reaches."""

Row = tuple[str, float, Interval | str, bool]
"""Name, value, interval, and whether a claim is made of it."""


def draw_comparison(comparison: Comparison, title: str) -> Figure:
    """Draw AUC and accuracy of all models, and all differences between two of them, with 95 % intervals.

    A difference is filled where the tests support that one network is better than the other, hollow where not. Hollow
    is also what facts of the files reach alone, where that is known.

    Args:
        comparison: what is drawn.
        title: what was compared.
    """
    from matplotlib.figure import Figure

    figure = Figure()
    grid = figure.subplots(2, 2)
    counts = (len(_models(comparison, "auc")), len(comparison.pairs))
    height = (max(counts) + 0.4) * _ROW_INCHES
    boxes = {}
    for number, metric in enumerate(COMPARED):
        label, scale = CATALOGUE[metric].title, 100 if CATALOGUE[metric].in_percent else 1
        left, right = grid[number]
        _draw(left, _models(comparison, metric), scale, label)
        _draw(right, _differences(comparison, metric), scale, f"difference in {label}")
        right.axvline(0, color=FAINT_INK, linewidth=1, linestyle=(0, (3, 2)), zorder=1)
        bottom = (len(COMPARED) - 1 - number) * (height + _BETWEEN_ROWS)
        boxes[left] = (0.0, bottom, _WIDTH, height)
        boxes[right] = (_WIDTH + _BETWEEN_COLUMNS, bottom, _WIDTH, height)
    write_title(grid[0][0], title, 2 * _WIDTH + _BETWEEN_COLUMNS, loc="left")
    fit(figure, boxes)
    return figure


def _models(comparison: Comparison, metric: str) -> list[Row]:
    rows: list[Row] = [
        (model.name, comparison.metrics[model.name][metric], comparison.intervals[model.name].metrics[metric], True)
        for model in comparison.models
    ]
    if metric == "auc" and comparison.facts is not None:
        rows.append((FACTS, comparison.facts.auc, comparison.facts.interval, False))
    return rows


def _differences(comparison: Comparison, metric: str) -> list[Row]:
    rows: list[Row] = []
    for pair in comparison.pairs:
        found = pair.differences.metrics[metric]
        claimed = pair.tests[metric].verdict in ("better", "worse")
        rows.append((f"{pair.names[0]} − {pair.names[1]}", found.value, found.interval, claimed))
    return rows


def _draw(axes: Axes, rows: Sequence[Row], scale: float, label: str) -> None:
    frame(axes, label)
    for number, (_, value, interval, filled) in enumerate(rows):
        style: dict[str, Any] = {"color": BLUE if filled else VERMILLION}
        if isinstance(interval, Interval):
            axes.plot([scale * interval.low, scale * interval.high], [number, number], linewidth=2.2, **style)
        face = style["color"] if filled else "white"
        axes.plot(scale * value, number, marker="o" if filled else "s", markersize=6.5, markerfacecolor=face, **style)
    names = [wrap(name, _NAME_INCHES) for name, *_ in rows]
    axes.set_yticks(range(len(rows)), names, color=INK, parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.12)
    axes.locator_params(axis="x", nbins=4)
