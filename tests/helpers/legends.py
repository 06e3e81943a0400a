"""The texts of a legend."""

from __future__ import annotations

from matplotlib.figure import Figure


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[-1].get_legend().get_texts()]
