"""Curves of a cross-validation's probabilities: ROC and precision-recall.

The folds of a binary task are thin lines under a band of their mean plus and minus one standard deviation (n - 1). Of
several classes, or labels, each has a line of the combination's, and the mean over them (macro) the folds' band.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.style import (
    BLUE,
    DOTS,
    FAINT_INK,
    INK,
    Entry,
    choose_line_style,
    fit,
    format_fraction,
    frame,
    limit_square,
    wrap,
    write_legend,
    write_title,
)
from medmamba_monai.evaluation.scores import FloatArray, IntArray, Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMED = 8
"""With more classes than this only the best and the worst are named and colored."""

SIDE_INCHES = 3.0
"""Of a square from 0 to 1."""

DASHED = (0, (3, 2))
REFERENCE_LINE: dict[str, Any] = {"color": FAINT_INK, "linewidth": 1, "linestyle": DASHED}
"""A line that is no result, but what results are held against."""

_NAME_INCHES = 2.3
_GRID = np.append(0, np.linspace(0, 1, 501))  # 0 twice: where curves rise at once
_BAND: dict[str, Any] = {"facecolor": BLUE, "alpha": 0.25, "linewidth": 0}
_FOLD: dict[str, Any] = {"color": FAINT_INK, "linewidth": 0.7}
_MEAN: dict[str, Any] = {"color": BLUE, "linewidth": 1, "linestyle": DOTS, "zorder": 3.5}


@dataclass(frozen=True)
class _Kind:
    """A kind of curve: how its points, its values on a grid of x and its area come from scores and positives."""

    area_name: str
    xlabel: str
    ylabel: str
    points: Callable[[FloatArray, IntArray], tuple[FloatArray, FloatArray]]
    resample: Callable[[FloatArray, FloatArray], FloatArray]
    area: Callable[[IntArray, FloatArray], float]
    drawstyle: str


class _Curves:
    """The curves of one set of scores: one of a binary task, else one per class or label, and their mean."""

    def __init__(self, kind: _Kind, scores: Scores, num_classes: int) -> None:
        scores.require_every_class()
        if scores.num_classes != num_classes:
            raise UserError(f"there are {scores.num_classes} classes, but {num_classes} class names")
        probabilities, positives = scores.probabilities, scores.indicators
        columns = [1] if scores.task == "binary" else list(range(num_classes))
        self.points = [kind.points(probabilities[:, column], positives[:, column]) for column in columns]
        self.areas = [float(kind.area(positives[:, column], probabilities[:, column])) for column in columns]
        self.area = float(np.mean(self.areas))
        self.on_grid = np.mean([kind.resample(*points) for points in self.points], axis=0)
        self.prevalence = float(positives[:, columns].mean())


def _roc_points(scores: FloatArray, positives: IntArray) -> tuple[FloatArray, FloatArray]:
    false_positives, sensitivity, _ = roc_curve(positives, scores)
    return false_positives, sensitivity


def _roc_on_grid(x: FloatArray, y: FloatArray) -> FloatArray:
    values = np.interp(_GRID, x, y)
    values[0] = 0
    return values


def _precision_recall_points(scores: FloatArray, positives: IntArray) -> tuple[FloatArray, FloatArray]:
    precision, recall, _ = precision_recall_curve(positives, scores, drop_intermediate=True)
    return recall[::-1], precision[::-1]


def _precision_on_grid(recall: FloatArray, precision: FloatArray) -> FloatArray:
    """Return precision at the highest threshold that reaches a recall, so that the area is the average precision."""
    return precision[np.searchsorted(recall, _GRID)]


_ROC = _Kind("AUC", "1 - specificity", "sensitivity", _roc_points, _roc_on_grid, roc_auc_score, "default")
_PRECISION_RECALL = _Kind(
    *("average precision", "recall (sensitivity)", "precision", _precision_recall_points, _precision_on_grid),
    *(average_precision_score, "steps-pre"),
)


def draw_roc(
    folds: Sequence[Scores],
    combined: Scores,
    class_names: Sequence[str],
    title: str,
    combination: str = "ensemble",
    interval: tuple[float, float] | None = None,
) -> Figure:
    """Draw the receiver operating characteristic of the folds and of their combination.

    The legend holds the areas under the curves: of the combination (as the metric `auc` defines it) and of the folds
    (mean and standard deviation), and of each class; with more than `MOST_NAMED` classes, of the best and the worst.

    Args:
        folds: of each fold's test part; a single one is not drawn beside ``combined``.
        combined: those of the combination.
        class_names: C names, of both classes of a binary task.
        title: what was evaluated.
        combination: what ``combined`` is: ``ensemble`` (mean probabilities) or ``pooled`` (joined test parts).
        interval: lower and upper end of the 95 % interval of the combination's AUC.

    Raises:
        UserError: there are no folds, or scores that do not fit the names, or lack a class.
    """
    return _curve_figure(_ROC, folds, combined, class_names, title, combination, interval)


def draw_precision_recall(
    folds: Sequence[Scores],
    combined: Scores,
    class_names: Sequence[str],
    title: str,
    combination: str = "ensemble",
    interval: tuple[float, float] | None = None,
) -> Figure:
    """Draw precision against recall of the folds and of their combination, in steps: nothing is interpolated.

    The legend holds average precisions in place of areas; a binary task has a line at the share of its class 1, which
    is the precision of chance.

    Args:
        folds, combined, class_names, title, combination: as of `draw_roc`.
        interval: lower and upper end of the 95 % interval of the combination's average precision.

    Raises:
        UserError: as `draw_roc`.
    """
    return _curve_figure(_PRECISION_RECALL, folds, combined, class_names, title, combination, interval)


def _curve_figure(
    kind: _Kind,
    folds: Sequence[Scores],
    combined: Scores,
    class_names: Sequence[str],
    title: str,
    combination: str,
    interval: tuple[float, float] | None,
) -> Figure:
    from matplotlib.figure import Figure

    if not folds:
        raise UserError("there are no folds to draw: give the probabilities and labels of at least one")
    of_folds = [_Curves(kind, fold, len(class_names)) for fold in folds]
    whole = _Curves(kind, combined, len(class_names))
    figure = Figure()
    axes = figure.add_subplot()
    write_title(axes, title, SIDE_INCHES)
    frame(axes, kind.xlabel, kind.ylabel)
    limit_square(axes)
    binary = combined.task == "binary"
    name = combination if binary else f"{combination}, mean of {len(class_names)}"
    entries = _draw_combination(axes, kind, whole, name, interval) + _draw_folds(axes, kind, of_folds)
    entries += _draw_chance(axes, kind, whole) if binary else _draw_classes(axes, kind, whole, class_names)
    legend_title = kind.area_name if interval is None else f"{kind.area_name} (95 % interval)"
    write_legend(axes, entries, legend_title)
    fit(figure, {axes: (0, 0, SIDE_INCHES, SIDE_INCHES)})
    return figure


def _draw_combination(
    axes: Axes, kind: _Kind, whole: _Curves, name: str, interval: tuple[float, float] | None
) -> list[Entry]:
    x, y = whole.points[0] if len(whole.points) == 1 else (_GRID, whole.on_grid)
    (line,) = axes.plot(x, y, color=INK, linewidth=2.4, drawstyle=kind.drawstyle, zorder=4)
    ends = "" if interval is None else f" ({format_fraction(interval[0])}–{format_fraction(interval[1])})"
    return [(line, f"{format_fraction(whole.area)}{ends}  {name}")]


def _draw_folds(axes: Axes, kind: _Kind, folds: Sequence[_Curves]) -> list[Entry]:
    if len(folds) == 1:  # it is its own combination
        return []
    curves, areas = np.array([fold.on_grid for fold in folds]), [fold.area for fold in folds]
    mean = curves.mean(axis=0)
    binary = len(folds[0].points) == 1
    drawn, style = ([fold.points[0] for fold in folds], _FOLD) if binary else ([(_GRID, mean)], _MEAN)
    lines = [axes.plot(*points, drawstyle=kind.drawstyle, **style)[0] for points in drawn]
    deviation = curves.std(axis=0, ddof=1)
    step: Any = "pre" if kind.drawstyle == "steps-pre" else None
    band = axes.fill_between(
        _GRID, np.maximum(mean - deviation, 0), np.minimum(mean + deviation, 1), step=step, **_BAND
    )
    text = f"{format_fraction(float(np.mean(areas)))} ± {np.std(areas, ddof=1):.3f}  {len(folds)} folds"
    return [((band, lines[0]), text)]


def _draw_chance(axes: Axes, kind: _Kind, whole: _Curves) -> list[Entry]:
    level = whole.prevalence if kind is _PRECISION_RECALL else 0.5
    ends = (level, level) if kind is _PRECISION_RECALL else (0, 1)
    (line,) = axes.plot((0, 1), ends, **REFERENCE_LINE)
    return [(line, f"{format_fraction(level)}  chance")]


def _draw_classes(axes: Axes, kind: _Kind, whole: _Curves, class_names: Sequence[str]) -> list[Entry]:
    if len(class_names) > MOST_NAMED:
        return _draw_best_and_worst(axes, kind, whole, class_names)
    order = np.argsort(whole.areas, kind="stable")[::-1]
    return [
        _draw_class(axes, kind, whole, index, class_names[index], choose_line_style(index)) for index in order.tolist()
    ]


def _draw_best_and_worst(axes: Axes, kind: _Kind, whole: _Curves, class_names: Sequence[str]) -> list[Entry]:
    best, *others, worst = np.argsort(whole.areas, kind="stable")[::-1].tolist()
    faint = [axes.plot(*whole.points[index], drawstyle=kind.drawstyle, **_FOLD)[0] for index in others]
    span = f"{format_fraction(whole.areas[others[-1]])}–{format_fraction(whole.areas[others[0]])}"
    return [
        _draw_class(axes, kind, whole, best, f"best: {class_names[best]}", choose_line_style(0)),
        (faint[0], f"{span}  the {len(others)} others"),
        _draw_class(axes, kind, whole, worst, f"worst: {class_names[worst]}", choose_line_style(1)),
    ]


def _draw_class(axes: Axes, kind: _Kind, whole: _Curves, index: int, name: str, style: dict[str, Any]) -> Entry:
    (line,) = axes.plot(*whole.points[index], drawstyle=kind.drawstyle, linewidth=1.4, zorder=3, **style)
    area = format_fraction(whole.areas[index])
    indent = "\n" + " " * (2 * len(area) + 1)  # a digit is as wide as two spaces, the point as one
    return line, f"{area}  {wrap(name, _NAME_INCHES)}".replace("\n", indent)
