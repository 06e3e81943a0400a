"""Dots of the folds show the values that they were given, for one fold as for ten."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.figure import Figure

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.fold_dots import draw_fold_dots
from tests.helpers.drawn_figures import margin, overlapping

TITLE = "MedMamba-T on a dataset with quite a long name, five folds, test"


def metrics(folds: int) -> dict[int, dict[str, float]]:
    return {fold: {"accuracy": 0.8 + 0.01 * fold, "auc": 0.9 + 0.01 * fold} for fold in range(folds)}


def dots(folds: int, **options: Any) -> Figure:
    return draw_fold_dots(metrics(folds), {"accuracy": 0.85, "auc": 0.95}, TITLE, **options)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[-1].get_legend().get_texts() if text.get_text()]


def written(figure: Figure, panel: int = 0) -> list[str]:
    return [text.get_text() for text in figure.axes[panel].texts]


def test_the_values_are_written_beside_their_rows() -> None:
    figure = dots(3)
    assert written(figure, 0) == ["81.0 ± 1.0", "85.0"]
    assert written(figure, 1) == ["0.910 ± 0.010", "0.950"]


def test_dots_mean_and_interval_are_where_they_belong() -> None:
    axes = dots(3, intervals={"auc": (0.93, 0.97)}).axes[1]
    assert [line.get_xdata()[0] for line in axes.lines] == pytest.approx([0.9, 0.91, 0.92, 0.95])
    mean, interval = (collection.get_segments()[0][:, 0].tolist() for collection in axes.collections)
    assert mean == pytest.approx([0.91, 0.91])
    assert interval == [0.93, 0.97]


@pytest.mark.parametrize("folds", [1, 5, 10])
def test_fold_dots_keep_their_text_inside_and_apart(folds: int) -> None:
    figure = dots(folds, combination="pooled")
    assert margin(figure) == pytest.approx(0.1, abs=0.02)
    assert overlapping(figure) == []


def test_metrics_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(UserError, match="no folds to draw"):
        draw_fold_dots({}, {}, "")
    with pytest.raises(UserError, match="the accuracy of fold 0 is 85"):
        draw_fold_dots({0: {"accuracy": 85, "auc": 0.9}}, {}, "")
    with pytest.raises(UserError, match="the auc of ensemble is None"):
        draw_fold_dots(metrics(1), {"accuracy": 0.9}, "")
