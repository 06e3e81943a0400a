"""The confusion matrix, and for several labels a row of figures each: what was taken for what."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import confusion_matrix

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.style import (
    DARK_PERCENT,
    FAINT_INK,
    FONT_SIZE,
    GRID,
    INK,
    SEQUENTIAL_COLORS,
    fit,
    save_figure,
    write_title,
)
from medmamba_monai.evaluation.metrics.compute import compute_class_metrics
from medmamba_monai.evaluation.predictions import Predictions
from medmamba_monai.evaluation.scores import THRESHOLD, FloatArray, IntArray, Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS: dict[str, dict[str, Any]] = {  # told apart by shape and by lightness, not by hue alone
    "auc": {"label": "AUC", "marker": "o", "color": "#08519c", "s": 50, "zorder": 4},
    "sensitivity": {"label": "sensitivity", "marker": "^", "color": "#e08214", "s": 34, "zorder": 3},
    "specificity": {"label": "specificity", "marker": "s", "facecolor": "white", "edgecolor": "#555555", "s": 24},
}
_NAME_LETTERS = 22
_LETTER_INCHES = 0.6 * FONT_SIZE / 72
_LABELS_INCHES, _ROW_INCHES = 3.0, 0.32


def draw_confusion_matrix(labels: ArrayLike, predicted: ArrayLike, class_names: Sequence[str], title: str) -> Figure:
    """Draw which class was taken for which.

    A row is a true class. Each cell holds the number of images and its percentage of the row, which is also its
    color; the diagonal percentages are the sensitivities.

    Args:
        labels: true class indices (B,), 0 to C - 1.
        predicted: predicted class indices (B,).
        class_names: C names; long ones are wrapped, very long ones shortened.
        title: what was evaluated.

    Raises:
        UserError: the shapes do not fit, there are no images, or an index has no name.
    """
    from matplotlib.figure import Figure

    counts = _count(np.asarray(labels), np.asarray(predicted), len(class_names))
    percentages = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure()
    axes = figure.add_subplot()
    axes.imshow(percentages, cmap=SEQUENTIAL_COLORS, vmin=0, vmax=100)
    _name_axes(axes, _row_names(class_names), _column_names(class_names))
    _write_cells(axes, counts, percentages)
    side = len(counts) * _cell_inches(len(counts))
    write_title(axes, title, side)
    fit(figure, {axes: (0, 0, side, side)})
    return figure


def draw_labels(scores: Scores, label_names: Sequence[str], title: str) -> Figure:
    """Draw how well each label of a multi-label task is told.

    A row is a label: its AUC, and the sensitivity and specificity where it is predicted above a probability of 0.5.
    The columns beside it hold the AUC in figures and the number of images that have the label.

    Args:
        scores: of a multi-label task.
        label_names: C names; long ones are wrapped, very long ones shortened.
        title: what was evaluated.

    Raises:
        UserError: the names do not fit, or a label has no positive or no negative image.
    """
    from matplotlib.figure import Figure

    values = compute_class_metrics(scores, _MARKERS)
    if len(label_names) != scores.num_classes:
        raise UserError(f"there are {scores.num_classes} labels, but {len(label_names)} names")
    figure = Figure()
    axes = figure.add_subplot()
    write_title(axes, title, _LABELS_INCHES, pad=24)
    rows = np.arange(len(label_names))
    for name, style in _MARKERS.items():
        axes.scatter(values[name], rows, clip_on=False, **style)
    _write_columns(axes, values["auc"], scores.class_counts)
    names = _row_names(label_names)
    _name_labels(axes, names)
    inches = 1.4 * _ROW_INCHES if any("\n" in name for name in names) else _ROW_INCHES
    fit(figure, {axes: (0, 0, _LABELS_INCHES, (len(rows) + 0.2) * inches)})
    return figure


def save_predictions_figure(predictions: Predictions, title: str, directory: Path, name: str) -> tuple[Path, Path]:
    """Draw and save what suits the task: ``labels_<name>`` of several labels, else ``confusion_matrix_<name>``.

    Returns:
        The paths of the PNG and the SVG file.
    """
    if predictions.task == "multi-label":
        figure = draw_labels(predictions, predictions.class_names, title)
        return save_figure(figure, directory / f"labels_{name}")
    figure = draw_confusion_matrix(predictions.labels, predictions.predicted, predictions.class_names, title)
    return save_figure(figure, directory / f"confusion_matrix_{name}")


def _count(labels: IntArray, predicted: IntArray, num_classes: int) -> IntArray:
    if labels.ndim != 1 or labels.shape != predicted.shape or not len(labels):
        raise UserError(f"labels {labels.shape} and predicted {predicted.shape} are not two equal, non-empty lists")
    lowest, highest = min(labels.min(), predicted.min()), max(labels.max(), predicted.max())
    if lowest < 0 or highest >= num_classes:
        raise UserError(f"classes range from {lowest} to {highest}, but there are {num_classes} class names")
    return confusion_matrix(labels, predicted, labels=range(num_classes))


def _row_names(names: Sequence[str]) -> list[str]:
    return ["\n".join(textwrap.wrap(name, _NAME_LETTERS, max_lines=2, placeholder="…")) for name in names]


def _column_names(names: Sequence[str]) -> list[str]:
    """Wrap the names to the width of a cell; where a word does not fit, wrap them as rows, to be slanted."""
    letters = int(_cell_inches(len(names)) / _LETTER_INCHES)
    lines = [textwrap.wrap(name, letters, break_long_words=False) for name in names]
    fit = all(len(line) <= letters for wrapped in lines for line in wrapped) and max(map(len, lines)) <= 2
    return ["\n".join(wrapped) for wrapped in lines] if fit else _row_names(names)


def _cell_inches(num_classes: int) -> float:
    return 0.55 if num_classes > 4 else 1.1


def _slanted(columns: Sequence[str]) -> bool:
    longest = max(len(line) for name in columns for line in name.split("\n"))
    return longest * _LETTER_INCHES > _cell_inches(len(columns))


def _name_axes(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    ticks = range(len(rows))
    axes.set_yticks(ticks, rows, fontsize=FONT_SIZE, color=INK, parse_math=False)
    slant: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if _slanted(columns) else {}
    axes.set_xticks(ticks, columns, fontsize=FONT_SIZE, color=INK, parse_math=False, **slant)
    axes.set_xlabel("predicted class", fontsize=FONT_SIZE, color=INK)
    axes.set_ylabel("true class", fontsize=FONT_SIZE, color=INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    edges = np.arange(len(rows) - 1) + 0.5
    axes.hlines(edges, -0.5, len(rows) - 0.5, color="white", linewidth=1)
    axes.vlines(edges, -0.5, len(rows) - 0.5, color="white", linewidth=1)


def _write_cells(axes: Axes, counts: IntArray, percentages: FloatArray) -> None:
    size = FONT_SIZE - 1 if len(counts) > 4 else FONT_SIZE + 1
    for (row, column), count in np.ndenumerate(counts):
        percentage = percentages[row, column]
        color = "white" if percentage > DARK_PERCENT else INK if count else FAINT_INK
        text = f"{count}\n{_format_share(int(count), int(counts[row].sum()))}"
        axes.text(column, row, text, color=color, ha="center", va="center", fontsize=size, linespacing=1.1)


def _format_share(count: int, total: int) -> str:
    """Write a share in whole percent, never 0 for something nor 100 for not all."""
    if not total:
        return "-"
    percent = 100 * count / total
    if 0 < percent < 0.5:
        return "<1%"
    return ">99%" if 99.5 <= percent < 100 else f"{percent:.0f}%"


def _write_columns(axes: Axes, aucs: Sequence[float], images: Sequence[int]) -> None:
    columns = (("AUC", 1.20, [f"{auc:.3f}" for auc in aucs]), ("images", 1.44, [f"{count:,}" for count in images]))
    for name, right, cells in columns:
        for row, text in enumerate([name, *cells], start=-1):
            axes.text(
                *(right, row),
                text,
                transform=axes.get_yaxis_transform(),
                color=INK,
                ha="right",
                va="center_baseline",
                fontsize=FONT_SIZE,
            )


def _name_labels(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=FONT_SIZE, color=INK, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    ticks = (0, 0.25, 0.5, 0.75, 1)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=FONT_SIZE, color=INK)
    note = f"dashed: AUC of chance; sensitivity and\nspecificity: at a probability of {THRESHOLD}"
    axes.set_xlabel(note, fontsize=FONT_SIZE, color=INK)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.axvline(0.5, color=FAINT_INK, linewidth=1, linestyle=(0, (3, 2)), zorder=1)
    axes.tick_params(length=0, pad=7)
    axes.spines[:].set_visible(False)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axes.get_xaxis_transform(),
        ncols=len(_MARKERS),
        frameon=False,
        fontsize=FONT_SIZE,
        labelcolor=INK,
        handletextpad=0.1,
        columnspacing=1.2,
        borderaxespad=4.6,
    )
