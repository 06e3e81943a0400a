from __future__ import annotations

import numpy as np
import pytest

from medmamba_monai.evaluation.figures.standings import Row, draw_curves, draw_standings
from medmamba_monai.evaluation.statistics.resampling import Interval
from tests.helpers.drawn_figures import margin, overlapping

ROWS: list[Row] = [
    ("Scan relevance", 0.6, Interval(0.5, 0.7), False),
    ("Integrated gradients", 0.55, Interval(0.5, 0.6), False),
    ("Random (floor)", 0.2, "it is 0.2 in all resamples", True),
]


def test_the_best_is_on_top_and_what_is_shown_behind_is_hollow() -> None:
    (axes,) = draw_standings({"Insertion": ROWS}).axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_markerfacecolor() == "white" for line in dots] == [False, False, True]
    assert [text.get_text() for text in axes.get_yticklabels()] == [name for name, *_ in ROWS]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_text_of_panels_stays_inside_and_apart() -> None:
    figure = draw_standings(dict.fromkeys(("Deletion", "Insertion", "Pointing game", "Randomization"), ROWS))
    assert margin(figure) == pytest.approx(0.1, abs=0.02)
    assert overlapping(figure) == []


def test_curves_go_from_0_to_100_percent_in_panels_that_share_a_legend() -> None:
    lines = {name: np.linspace(1, 0, 5) for name, *_ in ROWS}
    figure = draw_curves({"Deletion": lines, "Insertion": lines}, "pixels, %", "probability")
    assert [axes.lines[0].get_xdata().tolist() for axes in figure.axes] == [[0, 25, 50, 75, 100]] * 2
    legends = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    assert len(legends) == 1
    assert {text.get_text() for text in legends[0].get_texts()} == set(lines)
    assert margin(figure) == pytest.approx(0.1, abs=0.02)
    assert overlapping(figure) == []
