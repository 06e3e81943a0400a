"""Errors against the share of images that are answered: what leaving the doubtful ones to a person would gain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medmamba_monai.evaluation.figures.curves import REFERENCE_LINE, SIDE_INCHES
from medmamba_monai.evaluation.figures.style import (
    FAINT_INK,
    INK,
    Entry,
    fit,
    frame,
    limit_axis,
    write_legend,
    write_title,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medmamba_monai.evaluation.statistics.abstention import AbstentionCurve

_FOLD: dict[str, Any] = {"color": FAINT_INK, "linewidth": 0.7, "drawstyle": "steps-pre"}
_HEIGHT_INCHES = 2.2


def draw_abstention(
    folds: Sequence[AbstentionCurve], combined: AbstentionCurve, title: str, combination: str = "ensemble"
) -> Figure:
    """Draw the share of errors among the images that a model is surest of, against how many these are.

    Args:
        folds: of each fold's test part; a single one is not drawn beside ``combined``.
        combined: of the combination.
        title: what was evaluated.
        combination: what ``combined`` is, for the legend.
    """
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots()
    write_title(axes, title, SIDE_INCHES)
    frame(axes, "answered, the surest first", "errors among them (%)")
    limit_axis(axes, "x")
    entries: list[Entry] = []
    for curve in folds if len(folds) > 1 else ():
        (line,) = axes.plot(curve.answered, 100 * curve.error, **_FOLD)
        entries = [(line, f"{len(folds)} folds: area {np.mean([100 * fold.area for fold in folds]):.2f} %")]
    (line,) = axes.plot(combined.answered, 100 * combined.error, color=INK, linewidth=2.4, drawstyle="steps-pre")
    everything = axes.axhline(100 * combined.error[-1], **REFERENCE_LINE)
    axes.set_ylim(0)
    answered = (everything, f"all answered: {100 * combined.error[-1]:.2f} %")
    write_legend(axes, [(line, f"{combination}: area {100 * combined.area:.2f} %"), *entries, answered])
    fit(figure, {axes: (0, 0, SIDE_INCHES, _HEIGHT_INCHES)})
    return figure
