"""A reliability figure shows the bins as they are, and refuses what are no bins."""

from __future__ import annotations

import numpy as np
import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.reliability import Bins, draw_reliability
from tests.helpers.drawn_figures import margin, overlapping
from tests.helpers.legends import legend

BINS: Bins = ([0.55, 0.75, 0.95], [0.45, 0.6, 0.9], [10, 30, 60])


def test_bins_are_drawn_with_their_gap_and_share() -> None:
    axes, shares = draw_reliability(BINS, None, "").axes
    assert axes.lines[1].get_xydata() == pytest.approx(np.transpose(BINS[:2]))
    gaps = [segment[:, 1].tolist() for segment in axes.collections[0].get_segments()]
    assert gaps == [[0.55, 0.45], [0.75, 0.6], [0.95, 0.9]]
    assert [segment[1, 1] for segment in shares.collections[0].get_segments()] == [10, 30, 60]


def test_the_legend_tells_temperature_and_errors() -> None:
    figure = draw_reliability(BINS, BINS, "", 1.8349, ece_before=0.0812, ece_after=0.0213)
    assert legend(figure) == ["as trained: ECE 0.081", "temperature 1.83: ECE 0.021"]
    assert legend(draw_reliability(BINS, BINS, "")) == ["as trained", "temperature scaled"]


def test_bins_without_images_are_left_out() -> None:
    bins = ([float("nan"), 0.9], [float("nan"), 0.8], [0, 5])
    assert draw_reliability(bins, None, "").axes[0].lines[1].get_xydata().tolist() == [[0.9, 0.8]]


def test_text_is_inside_and_apart() -> None:
    figure = draw_reliability(BINS, BINS, "MedMamba-T on a dataset with quite a long name, test", 1.5, 0.1, 0.2)
    assert margin(figure) == pytest.approx(0.1, abs=0.02)
    assert overlapping(figure) == []
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()


@pytest.mark.parametrize(
    ("bins", "message"),
    [
        (([0.5], [0.5, 0.6], [1]), r"shapes \(1,\), \(2,\), \(1,\)"),
        (([0.5], [0.5], [0]), "no images"),
        (([50], [0.5], [1]), r"outside \[0, 1\]: give fractions"),
    ],
)
def test_bins_that_do_not_fit_are_refused(bins: Bins, message: str) -> None:
    with pytest.raises(UserError, match=message):
        draw_reliability(bins, None, "")
