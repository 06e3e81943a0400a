from __future__ import annotations

import pytest

from medmamba_monai.evaluation.figures.robustness import Changes, draw_robustness
from medmamba_monai.evaluation.statistics.resampling import Interval
from tests.helpers.drawn_figures import margin, overlapping

CHANGES: Changes = {1: (-0.01, Interval(-0.02, 0.01)), 3: (-0.1, Interval(-0.15, -0.05)), 5: (0.0, "nothing changes")}


def test_dots_are_filled_where_the_interval_leaves_out_0() -> None:
    (axes,) = draw_robustness({"noise": CHANGES}, "a run").axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_markerfacecolor() == "white" for line in dots] == [True, False, True]
    assert [collection.get_segments()[0][:, 1].tolist() for collection in axes.collections] == [
        [-0.02, 0.01],
        [-0.15, -0.05],
    ]


@pytest.mark.parametrize("count", [1, 3, 13])
def test_text_stays_inside_and_apart(count: int) -> None:
    figure = draw_robustness({f"{number}: more contrast": CHANGES for number in range(count)}, "Change of AUC: a run")
    assert len(figure.axes) == count
    assert margin(figure) == pytest.approx(0.1, abs=0.02)
    assert overlapping(figure) == []


@pytest.mark.parametrize("count", [1, 4, 6])
def test_the_lowest_panel_of_each_column_says_what_its_numbers_are(count: int) -> None:
    panels = draw_robustness({f"kind {number}": CHANGES for number in range(count)}, "a run").axes
    said = [axes.get_xlabel() for axes in panels]
    assert said == [""] * max(count - 4, 0) + ["severity"] * min(count, 4)
