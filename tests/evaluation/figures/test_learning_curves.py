"""Learning curves show the values that they were given, for one epoch as for many."""

from __future__ import annotations

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.learning_curves import History, draw_learning_curves
from medmamba_monai.evaluation.figures.style import choose_marker_style
from tests.helpers.drawn_figures import margin, overlapping

TITLE = "MedMamba-T on a dataset with quite a long name, five folds, test"


def history(epochs: int, fold: int = 0) -> History:
    values = {"train/loss": 0.5, "validation/loss": 0.7, "validation/auc": 0.9}
    return {
        name: [(epoch, value + 0.01 * fold + 0.001 * epoch) for epoch in range(1, epochs + 1)]
        for name, value in values.items()
    }


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[-1].get_legend().get_texts() if text.get_text()]


def test_a_fold_has_three_curves() -> None:
    losses, aucs = draw_learning_curves({0: history(3)}, "").axes
    assert [line.get_ydata().tolist() for line in losses.lines] == [
        pytest.approx([0.501, 0.502, 0.503]),
        pytest.approx([0.701, 0.702, 0.703]),
    ]
    assert aucs.lines[0].get_xydata().tolist() == [pytest.approx([epoch, 0.9 + 0.001 * epoch]) for epoch in (1, 2, 3)]


def test_a_fold_keeps_its_look_where_another_is_missing() -> None:
    lines = draw_learning_curves({1: history(3), 3: history(3)}, "").axes[1].lines
    looks = [(to_hex(line.get_color()), line.get_marker()) for line in lines]
    assert looks == [
        (to_hex(choose_marker_style(fold)["color"]), choose_marker_style(fold)["marker"]) for fold in (1, 3)
    ]


def test_the_best_epoch_is_circled_in_both_panels() -> None:
    losses, aucs = draw_learning_curves({0: history(5)}, "", {0: 4}).axes
    assert losses.lines[-1].get_xydata().tolist() == [pytest.approx([4, 0.704])]
    assert aucs.lines[-1].get_xydata().tolist() == [pytest.approx([4, 0.904])]
    assert "best epoch" in legend(losses.figure)


def test_without_best_epochs_the_legend_does_not_name_them() -> None:
    assert legend(draw_learning_curves({0: history(5)}, "")) == ["train", "fold 0", "validation"]


@pytest.mark.parametrize("epochs", [1, 2, 100])
def test_epochs_are_whole_numbers_and_visible(epochs: int) -> None:
    figure = draw_learning_curves({fold: history(epochs, fold) for fold in range(5)}, TITLE, {0: 1})
    axes = figure.axes[1]
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == round(tick) for tick in ticks)
    assert low < 1 <= epochs < high
    assert all(line.get_marker() not in ("", "None") for line in axes.lines)


@pytest.mark.parametrize("folds", [1, 5, 10])
def test_learning_curves_keep_their_text_inside_and_apart(folds: int) -> None:
    figure = draw_learning_curves({fold: history(7, fold) for fold in range(folds)}, TITLE)
    assert margin(figure) == pytest.approx(0.1, abs=0.02)
    assert overlapping(figure) == []


def test_of_an_epoch_run_twice_the_last_value_counts() -> None:
    twice = {**history(2), "validation/auc": [(1, 0.5), (2, 0.6), (2, 0.8)]}
    assert draw_learning_curves({0: twice}, "").axes[1].lines[0].get_ydata().tolist() == [0.5, 0.8]


def test_histories_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(UserError, match="no folds to draw"):
        draw_learning_curves({}, "")
    with pytest.raises(UserError, match=r"fold 2 has no values of validation/loss, only train/loss"):
        draw_learning_curves({2: {"train/loss": [(1, 0.5)]}}, "")
    with pytest.raises(UserError, match="best epoch of fold 0 is 9"):
        draw_learning_curves({0: history(3)}, "", {0: 9})
