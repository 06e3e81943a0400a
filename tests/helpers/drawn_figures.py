"""Whether what a figure shows fits into it."""

from __future__ import annotations

import itertools

import matplotlib.artist
from matplotlib.figure import Figure
from matplotlib.text import Text


def shown_texts(figure: Figure) -> list[Text]:
    """The texts that are drawn: not empty, and not of ticks outside their axes."""
    figure.draw_without_rendering()
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and _is_drawn(figure, text)]


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Texts of which one covers another by more than a pixel."""
    boxes = [(text.get_text(), text.get_window_extent().padded(-1)) for text in shown_texts(figure)]
    return [(a, b) for (a, first), (b, second) in itertools.combinations(boxes, 2) if first.overlaps(second)]


def margin(figure: Figure) -> float:
    """Inches between the figure's edge and what is nearest to it."""
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return min(box.x0, box.y0, width - box.x1, height - box.y1)


def _is_drawn(figure: Figure, text: Text) -> bool:
    return any(text in (artist, *artist.findobj(Text)) for artist in _drawn(figure))


def _drawn(figure: Figure) -> list[matplotlib.artist.Artist]:
    ticks = [tick for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for tick in axis._update_ticks()]
    others = [text for axes in figure.axes for text in (*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label)]
    return [*ticks, *others, *(legend for axes in figure.axes if (legend := axes.get_legend()))]
