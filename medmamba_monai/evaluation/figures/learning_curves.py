"""Learning curves of the folds: loss and validation AUC by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.style import (
    INK,
    Key,
    choose_marker_style,
    fit,
    frame,
    list_fold_keys,
    write_key_legend,
    write_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Mapping[str, Sequence[tuple[int, float]]]
"""(epoch, value) pairs by the name of the metric, as MLflow keeps them."""

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


def draw_learning_curves(
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
    write_key_legend(aucs, [*_list_meanings(bool(best_epochs)), *list_fold_keys(histories)])
    first, last = losses.dataLim.intervalx
    room = max(0.4, 0.03 * (last - first))
    aucs.set_xlim(first - room, last + room)
    upper = _PANEL_HEIGHT + _BETWEEN
    fit(figure, {losses: (0, upper, _PANEL_WIDTH, _PANEL_HEIGHT), aucs: (0, 0, _PANEL_WIDTH, _PANEL_HEIGHT)})
    return figure


def _draw_history(losses: Axes, aucs: Axes, history: History, fold: int, best: int | None) -> None:
    train, validation, auc = (
        _check_curve(history, name, fold) for name in ("train/loss", "validation/loss", "validation/auc")
    )
    _draw_curve(losses, train, {**choose_marker_style(fold), **_TRAIN})
    _draw_curve(losses, validation, {**choose_marker_style(fold), **_VALIDATION})
    _draw_curve(aucs, auc, {**choose_marker_style(fold), **_VALIDATION})
    if best is None:
        return
    for axes, curve in ((losses, validation), (aucs, auc)):
        if best not in curve:
            raise UserError(f"the best epoch of fold {fold} is {best}, which its history of validation lacks")
        axes.plot(best, curve[best], **_BEST)


def _check_curve(history: History, name: str, fold: int) -> dict[int, float]:
    if not history.get(name):
        known = ", ".join(sorted(history)) or "nothing"
        raise UserError(f"the history of fold {fold} has no values of {name}, only {known}: train it with tracking on")
    return dict(sorted(dict(history[name]).items()))


def _draw_curve(axes: Axes, curve: Mapping[int, float], style: Mapping[str, Any]) -> None:
    axes.plot(list(curve), list(curve.values()), markevery=math.ceil(len(curve) / _MOST_MARKERS), **style)


def _list_meanings(with_best: bool) -> list[Key]:
    """Return the first row of the legend, in which ink stands for the color of any fold."""
    of_any_fold = {"color": INK, "marker": "o"}
    best: Key = (_BEST, "best epoch") if with_best else ({"linestyle": "none"}, "")
    return [({**of_any_fold, **_TRAIN}, "train"), ({**of_any_fold, **_VALIDATION}, "validation"), best]
