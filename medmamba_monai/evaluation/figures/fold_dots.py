"""The folds side by side: how far their metrics are apart, with their combination."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.style import (
    FONT_SIZE,
    INK,
    choose_marker_style,
    fit,
    frame,
    list_fold_keys,
    wrap,
    write_key_legend,
    write_title,
)
from medmamba_monai.evaluation.metrics.catalogue import CATALOGUE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS = {"accuracy": 1, "auc": 3}  # digits
_FIRST_ROW = 2  # below the folds, which take the height of two rows
_ROW_INCHES, _DOTS_WIDTH, _DOTS_BETWEEN, _NAME_INCHES = 0.27, 2.1, 0.75, 1.6


def draw_fold_dots(
    folds: Mapping[int, Mapping[str, float]],
    combined: Mapping[str, float],
    title: str,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    combination: str = "ensemble",
) -> Figure:
    """Draw accuracy and AUC of every fold and of their combination.

    Each has a row of its own, so that values which nearly coincide stay apart, and its value beside it: of the folds
    mean and standard deviation (n - 1), accuracy in percent. The line among the folds is their mean.

    Args:
        folds: by fold number, at least ``accuracy`` and ``auc``, as fractions.
        combined: the same of the combination.
        title: what was evaluated.
        intervals: lower and upper end of the combination's 95 % interval, by ``accuracy`` and ``auc``.
        combination: what ``combined`` is: ``ensemble`` or ``pooled``.

    Raises:
        UserError: there are no folds, or a value is missing or outside [0, 1].
    """
    from matplotlib.figure import Figure

    if not folds:
        raise UserError("there are no folds to draw: give the metrics of at least one")
    names = [f"{len(folds)} folds" if len(folds) > 1 else "1 fold", combination]
    rows = [wrap(name, _NAME_INCHES) for name in names]
    figure = Figure()
    panels = dict(zip(_PANELS, figure.subplots(2), strict=True))
    write_title(panels["accuracy"], title, _DOTS_WIDTH)
    for metric, axes in panels.items():
        frame(axes, CATALOGUE[metric].title)
        _draw_dots(axes, metric, {fold: _check_value(values, metric, f"fold {fold}") for fold, values in folds.items()})
        _draw_combined(axes, metric, _check_value(combined, metric, combination), (intervals or {}).get(metric))
        _name_rows(axes, rows)
    write_key_legend(panels["auc"], list_fold_keys(folds))
    height = (len(rows) + 1.8) * _ROW_INCHES * (1.5 if any("\n" in row for row in rows) else 1)
    places = [(0, height + _DOTS_BETWEEN, _DOTS_WIDTH, height), (0, 0, _DOTS_WIDTH, height)]
    fit(figure, dict(zip(panels.values(), places, strict=True)))
    return figure


def _check_value(values: Mapping[str, float], metric: str, of: str) -> float:
    value = values.get(metric)
    if value is None or not 0 <= value <= 1:
        raise UserError(f"the {metric} of {of} is {value}: give a fraction from 0 to 1")
    return value


def _draw_dots(axes: Axes, metric: str, values: Mapping[int, float]) -> None:
    scale, digits = 100 if CATALOGUE[metric].in_percent else 1, _PANELS[metric]
    offsets = np.linspace(-0.7, 0.7, len(values)) if len(values) > 1 else [0.0]
    for fold, offset in zip(sorted(values), offsets, strict=True):
        axes.plot(scale * values[fold], offset, markersize=5.5, linestyle="none", **choose_marker_style(fold))
    mean = statistics.fmean(values.values())
    text = f"{scale * mean:.{digits}f}"
    if len(values) > 1:
        axes.vlines(scale * mean, -1, 1, color=INK, linewidth=1.4)
        text += f" ± {scale * statistics.stdev(values.values()):.{digits}f}"
    _write_value(axes, 0, text)


def _draw_combined(axes: Axes, metric: str, value: float, interval: tuple[float, float] | None) -> None:
    scale, digits = 100 if CATALOGUE[metric].in_percent else 1, _PANELS[metric]
    if interval is not None:
        axes.hlines(_FIRST_ROW, scale * interval[0], scale * interval[1], color=INK, linewidth=2)
    axes.plot(scale * value, _FIRST_ROW, marker="D", color=INK, markersize=7, linestyle="none")
    _write_value(axes, _FIRST_ROW, f"{scale * value:.{digits}f}")


def _write_value(axes: Axes, row: float, text: str) -> None:
    at = axes.get_yaxis_transform()
    axes.text(1.04, row, text, transform=at, color=INK, ha="left", va="center_baseline", fontsize=FONT_SIZE)


def _name_rows(axes: Axes, rows: Sequence[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    places = [0, *range(_FIRST_ROW, _FIRST_ROW + len(rows) - 1)]
    axes.set_yticks(places, rows, fontsize=FONT_SIZE, color=INK, parse_math=False)
    axes.set_ylim(places[-1] + 0.6, -1.2)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.margins(x=0.08)
