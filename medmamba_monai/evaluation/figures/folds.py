"""The folds side by side: how they learned, how far their metrics are apart, and which classes they hold.

A fold has the same color and marker in all of these figures.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.style import (
    DARK_PERCENT,
    DOTS,
    FAINT_INK,
    FONT_SIZE,
    INK,
    SEQUENTIAL_COLORS,
    fit,
    frame,
    legend_below,
    marker_style,
    wrap,
    write_title,
)
from medmamba_monai.evaluation.scores import IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Mapping[str, Sequence[tuple[int, float]]]
"""(epoch, value) pairs by the name of the metric, as MLflow keeps them."""

Published = tuple[str, float | None, float | None]
"""Model, accuracy and AUC."""

Key = tuple[dict[str, Any], str]
"""Style of a line in the legend, and its name."""

_PANEL_WIDTH, _PANEL_HEIGHT, _BETWEEN = 3.2, 1.9, 0.2
_MOST_MARKERS = 8
_TRAIN: dict[str, Any] = {"linestyle": (0, (4, 1.5)), "linewidth": 1, "markerfacecolor": "white", "markersize": 4.5}
_VALIDATION: dict[str, Any] = {"linestyle": "solid", "linewidth": 1.5, "markersize": 4.5}
_BEST: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 9.5,
    "markerfacecolor": "none",
    "markeredgecolor": INK,
    "zorder": 5,
}

_PANELS = {"accuracy": ("accuracy (%)", 100, 1), "auc": ("AUC", 1, 3)}  # name, scale and digits
_FIRST_ROW = 2  # below the folds, which take the height of two rows
_ROW_INCHES, _DOTS_WIDTH, _DOTS_BETWEEN, _NAME_INCHES = 0.27, 2.1, 0.75, 1.6

_CELL_WIDTH, _CELL_HEIGHT, _CLASS_INCHES = 0.66, 0.42, 1.9


def learning_curves_figure(
    histories: Mapping[int, History], title: str, best_epochs: Mapping[int, int] | None = None
) -> Figure:
    """Draw loss and validation AUC of all folds by epoch.

    Of an epoch that was run twice, after an interruption, the last value counts.

    Args:
        histories: by fold number, ``train/loss``, ``validation/loss`` and ``validation/auc``; others are not drawn.
        title: what was trained.
        best_epochs: by fold number, the epoch whose weights were kept; it is circled.

    Raises:
        UserError: there are no folds, a metric is missing or empty, or a best epoch is not in the history.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    if not histories:
        raise UserError("there are no folds to draw: give the history of at least one")
    figure = Figure()
    losses, aucs = figure.subplots(2, sharex=True)
    write_title(losses, title, _PANEL_WIDTH)
    frame(losses, "", "loss")
    frame(aucs, "epoch", "validation AUC")
    aucs.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    best_epochs = best_epochs or {}
    for fold in sorted(histories):
        _draw_history(losses, aucs, histories[fold], fold, best_epochs.get(fold))
    _legend(aucs, [*_meanings(bool(best_epochs)), *_fold_keys(histories)])
    first, last = losses.dataLim.intervalx
    room = max(0.4, 0.03 * (last - first))
    aucs.set_xlim(first - room, last + room)
    upper = _PANEL_HEIGHT + _BETWEEN
    fit(figure, {losses: (0, upper, _PANEL_WIDTH, _PANEL_HEIGHT), aucs: (0, 0, _PANEL_WIDTH, _PANEL_HEIGHT)})
    return figure


def fold_dots_figure(
    folds: Mapping[int, Mapping[str, float]],
    combined: Mapping[str, float],
    title: str,
    published: Sequence[Published] = (),
    intervals: Mapping[str, tuple[float, float]] | None = None,
    combination: str = "ensemble",
) -> Figure:
    """Draw accuracy and AUC of every fold, of their combination and of published results.

    Each has a row of its own, so that values which nearly coincide stay apart, and its value beside it: of the folds
    mean and standard deviation (n - 1), accuracy in percent. The line among the folds is their mean; a dotted line
    leads from a published value up to the folds.

    Args:
        folds: by fold number, at least ``accuracy`` and ``auc``, as fractions.
        combined: the same of the combination.
        title: what was evaluated.
        published: model, accuracy and AUC as fractions, or None where one was not published.
        intervals: lower and upper end of the combination's 95 % interval, by ``accuracy`` and ``auc``.
        combination: what ``combined`` is: ``ensemble`` or ``pooled``.

    Raises:
        UserError: there are no folds, or a value is missing or outside [0, 1].
    """
    from matplotlib.figure import Figure

    if not folds:
        raise UserError("there are no folds to draw: give the metrics of at least one")
    names = [f"{len(folds)} folds" if len(folds) > 1 else "1 fold", combination, *(model for model, _, _ in published)]
    rows = [wrap(name, _NAME_INCHES) for name in names]
    figure = Figure()
    panels = dict(zip(_PANELS, figure.subplots(2), strict=True))
    write_title(panels["accuracy"], title, _DOTS_WIDTH)
    for metric, axes in panels.items():
        frame(axes, _PANELS[metric][0])
        _draw_dots(axes, metric, {fold: _value(values, metric, f"fold {fold}") for fold, values in folds.items()})
        _draw_combined(axes, metric, _value(combined, metric, combination), (intervals or {}).get(metric))
        _draw_published(axes, metric, published)
        _name_rows(axes, rows)
    _legend(panels["auc"], _fold_keys(folds))
    height = (len(rows) + 1.8) * _ROW_INCHES * (1.5 if any("\n" in row for row in rows) else 1)
    places = [(0, height + _DOTS_BETWEEN, _DOTS_WIDTH, height), (0, 0, _DOTS_WIDTH, height)]
    fit(figure, dict(zip(panels.values(), places, strict=True)))
    return figure


def class_balance_figure(counts: Mapping[str, Sequence[int]], class_names: Sequence[str], title: str) -> Figure:
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


def _draw_history(losses: Axes, aucs: Axes, history: History, fold: int, best: int | None) -> None:
    train, validation, auc = (
        _curve(history, name, fold) for name in ("train/loss", "validation/loss", "validation/auc")
    )
    _draw_curve(losses, train, {**marker_style(fold), **_TRAIN})
    _draw_curve(losses, validation, {**marker_style(fold), **_VALIDATION})
    _draw_curve(aucs, auc, {**marker_style(fold), **_VALIDATION})
    if best is None:
        return
    for axes, curve in ((losses, validation), (aucs, auc)):
        if best not in curve:
            raise UserError(f"the best epoch of fold {fold} is {best}, which its history of validation lacks")
        axes.plot(best, curve[best], **_BEST)


def _curve(history: History, name: str, fold: int) -> dict[int, float]:
    if not history.get(name):
        known = ", ".join(sorted(history)) or "nothing"
        raise UserError(f"the history of fold {fold} has no values of {name}, only {known}: train it with tracking on")
    return dict(sorted(dict(history[name]).items()))


def _draw_curve(axes: Axes, curve: Mapping[int, float], style: Mapping[str, Any]) -> None:
    axes.plot(list(curve), list(curve.values()), markevery=math.ceil(len(curve) / _MOST_MARKERS), **style)


def _meanings(with_best: bool) -> list[Key]:
    """The first row of the legend, in which ink stands for the color of any fold."""
    of_any_fold = {"color": INK, "marker": "o"}
    best: Key = (_BEST, "best epoch") if with_best else ({"linestyle": "none"}, "")
    return [({**of_any_fold, **_TRAIN}, "train"), ({**of_any_fold, **_VALIDATION}, "validation"), best]


def _fold_keys(folds: Iterable[int]) -> list[Key]:
    return [({**marker_style(fold), "linestyle": "none"}, f"fold {fold}") for fold in sorted(folds)]


def _legend(axes: Axes, keys: Sequence[Key]) -> None:
    from matplotlib.lines import Line2D

    legend_below(axes, [(Line2D([], [], **style), name) for style, name in keys], columns=3)


def _value(values: Mapping[str, float], metric: str, of: str) -> float:
    value = values.get(metric)
    if value is None or not 0 <= value <= 1:
        raise UserError(f"the {metric} of {of} is {value}: give a fraction from 0 to 1")
    return value


def _draw_dots(axes: Axes, metric: str, values: Mapping[int, float]) -> None:
    scale, digits = _PANELS[metric][1:]
    offsets = np.linspace(-0.7, 0.7, len(values)) if len(values) > 1 else [0.0]
    for fold, offset in zip(sorted(values), offsets, strict=True):
        axes.plot(scale * values[fold], offset, markersize=5.5, linestyle="none", **marker_style(fold))
    mean = statistics.fmean(values.values())
    text = f"{scale * mean:.{digits}f}"
    if len(values) > 1:
        axes.vlines(scale * mean, -1, 1, color=INK, linewidth=1.4)
        text += f" ± {scale * statistics.stdev(values.values()):.{digits}f}"
    _write_value(axes, 0, text)


def _draw_combined(axes: Axes, metric: str, value: float, interval: tuple[float, float] | None) -> None:
    scale, digits = _PANELS[metric][1:]
    if interval is not None:
        axes.hlines(_FIRST_ROW, scale * interval[0], scale * interval[1], color=INK, linewidth=2)
    axes.plot(scale * value, _FIRST_ROW, marker="D", color=INK, markersize=7, linestyle="none")
    _write_value(axes, _FIRST_ROW, f"{scale * value:.{digits}f}")


def _draw_published(axes: Axes, metric: str, results: Sequence[Published]) -> None:
    scale, digits = _PANELS[metric][1:]
    for row, (model, accuracy, auc) in enumerate(results, start=_FIRST_ROW + 1):
        value = accuracy if metric == "accuracy" else auc
        if value is None:
            _write_value(axes, row, "–")
            continue
        found = scale * _value({metric: value}, metric, model)
        axes.vlines(found, -1, row, color=FAINT_INK, linewidth=1, linestyle=DOTS, zorder=1)
        axes.plot(found, row, marker="s", markerfacecolor="white", color=INK, markersize=6, linestyle="none")
        _write_value(axes, row, f"{found:.{digits}f}")


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
