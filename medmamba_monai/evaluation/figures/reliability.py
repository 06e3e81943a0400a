"""Reliability: how often it is true what a network is sure of, before and after temperature scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.curves import DASHED, REFERENCE_LINE, SIDE_INCHES
from medmamba_monai.evaluation.figures.style import (
    BLUE,
    VERMILLION,
    Entry,
    fit,
    format_fraction,
    frame,
    limit_axis,
    limit_square,
    write_legend,
    write_title,
)
from medmamba_monai.evaluation.scores import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Bins = tuple[ArrayLike, ArrayLike, ArrayLike]
"""Mean probability, observed frequency and number of images of each bin; bins without images are left out."""

_BEFORE: dict[str, Any] = {"color": VERMILLION, "marker": "o", "markerfacecolor": "white", "linestyle": DASHED}
_AFTER: dict[str, Any] = {"color": BLUE, "marker": "s", "linestyle": "solid"}


def draw_reliability(
    before: Bins,
    after: Bins | None,
    title: str,
    temperature: float | None = None,
    ece_before: float | None = None,
    ece_after: float | None = None,
) -> Figure:
    """Draw how often it is true what the network is sure of, and below it how many images have which probability.

    A point above the diagonal is a bin in which the network was too modest, one below it too sure; a thin upright line
    from the point to the diagonal is the gap that the expected calibration error averages.

    Args:
        before: mean probability, observed frequency (both 0 to 1) and count of each bin, as the network gave them.
        after: the same after temperature scaling, if that was done.
        title: what was evaluated.
        temperature: by which the logits were divided for ``after``, for the legend.
        ece_before: expected calibration error of ``before`` (0 to 1), for the legend.
        ece_after: that of ``after``.

    Raises:
        UserError: the arrays of a triple do not fit each other or are out of range.
    """
    from matplotlib.figure import Figure

    figure = Figure()
    axes, shares = figure.subplots(2)
    write_title(axes, title, SIDE_INCHES)
    frame(axes, "", "observed frequency")
    frame(shares, "mean probability", "images (%)")
    limit_square(axes)
    axes.tick_params(labelbottom=False)
    limit_axis(shares, "x")
    axes.plot((0, 1), (0, 1), **REFERENCE_LINE)
    entries = [_draw_bins(axes, shares, before, _BEFORE, "as trained", ece_before)]
    if after is not None:
        name = "temperature scaled" if temperature is None else f"temperature {temperature:.3g}"
        entries.append(_draw_bins(axes, shares, after, _AFTER, name, ece_after))
    shares.set_ylim(0)
    write_legend(shares, entries)
    fit(figure, {axes: (0, 1.0, SIDE_INCHES, SIDE_INCHES), shares: (0, 0, SIDE_INCHES, 0.8)})
    return figure


def _check_bins(bins: Bins) -> tuple[FloatArray, FloatArray, FloatArray]:
    probability, frequency, count = (np.asarray(values, dtype=np.float64) for values in bins)
    if probability.ndim != 1 or not probability.shape == frequency.shape == count.shape or not count.sum() > 0:
        shapes = ", ".join(str(np.shape(values)) for values in bins)
        raise UserError(f"the bins have shapes {shapes} or no images: give three equal lists and a count above 0")
    filled = count > 0
    probability, frequency = probability[filled], frequency[filled]
    if not all(np.all((values >= 0) & (values <= 1)) for values in (probability, frequency)):
        raise UserError("a bin's mean probability or observed frequency is outside [0, 1]: give fractions")
    return probability, frequency, count[filled]


def _draw_bins(axes: Axes, shares: Axes, bins: Bins, style: dict[str, Any], name: str, ece: float | None) -> Entry:
    probability, frequency, count = _check_bins(bins)
    axes.vlines(probability, probability, frequency, color=style["color"], linewidth=1, alpha=0.5)
    (line,) = axes.plot(probability, frequency, linewidth=1.6, markersize=5.5, zorder=3, **style)
    width, strength = (7, 0.45) if style is _BEFORE else (2.5, 1)
    shares.vlines(probability, 0, 100 * count / count.sum(), color=style["color"], linewidth=width, alpha=strength)
    return line, name if ece is None else f"{name}: ECE {format_fraction(ece)}"
