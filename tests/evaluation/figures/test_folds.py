"""Figures of the folds show the values that they were given, for one epoch as for many, two classes as for 14."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.folds import (
    History,
    class_balance_figure,
    fold_dots_figure,
    learning_curves_figure,
)
from medmamba_monai.evaluation.figures.style import marker_style, save_figure
from tests.helpers.drawn_figures import margin, overlapping

TITLE = "MedMamba-T on a dataset with quite a long name, five folds, test"
PUBLISHED = [("MedMamba-T, paper", 0.912, 0.965), ("MedMamba-T, $repository$", 0.899, 0.965), ("other", None, 0.9651)]
LONG = ["Collecting Duct, Connecting Tubule", r"$\frac", *(f"class {index}" for index in range(12))]


def history(epochs: int, fold: int = 0) -> History:
    values = {"train/loss": 0.5, "validation/loss": 0.7, "validation/auc": 0.9}
    return {
        name: [(epoch, value + 0.01 * fold + 0.001 * epoch) for epoch in range(1, epochs + 1)]
        for name, value in values.items()
    }


def metrics(folds: int) -> dict[int, dict[str, float]]:
    return {fold: {"accuracy": 0.8 + 0.01 * fold, "auc": 0.9 + 0.01 * fold} for fold in range(folds)}


def dots(folds: int, **options: Any) -> Figure:
    return fold_dots_figure(metrics(folds), {"accuracy": 0.85, "auc": 0.95}, TITLE, **options)


def balance(classes: int, parts: int) -> Figure:
    counts = np.random.default_rng(0).integers(1, 20_000, (parts, classes)).tolist()
    return class_balance_figure({f"fold {part}": row for part, row in enumerate(counts)}, LONG[:classes], TITLE)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[-1].get_legend().get_texts() if text.get_text()]


def written(figure: Figure, panel: int = 0) -> list[str]:
    return [text.get_text() for text in figure.axes[panel].texts]


def test_a_fold_has_three_curves() -> None:
    losses, aucs = learning_curves_figure({0: history(3)}, "").axes
    assert [line.get_ydata().tolist() for line in losses.lines] == [
        pytest.approx([0.501, 0.502, 0.503]),
        pytest.approx([0.701, 0.702, 0.703]),
    ]
    assert aucs.lines[0].get_xydata().tolist() == [pytest.approx([epoch, 0.9 + 0.001 * epoch]) for epoch in (1, 2, 3)]


def test_a_fold_keeps_its_look_where_another_is_missing() -> None:
    lines = learning_curves_figure({1: history(3), 3: history(3)}, "").axes[1].lines
    looks = [(to_hex(line.get_color()), line.get_marker()) for line in lines]
    assert looks == [(to_hex(marker_style(fold)["color"]), marker_style(fold)["marker"]) for fold in (1, 3)]


def test_the_best_epoch_is_circled_in_both_panels() -> None:
    losses, aucs = learning_curves_figure({0: history(5)}, "", {0: 4}).axes
    assert losses.lines[-1].get_xydata().tolist() == [pytest.approx([4, 0.704])]
    assert aucs.lines[-1].get_xydata().tolist() == [pytest.approx([4, 0.904])]
    assert "best epoch" in legend(losses.figure)


def test_without_best_epochs_the_legend_does_not_name_them() -> None:
    assert legend(learning_curves_figure({0: history(5)}, "")) == ["train", "fold 0", "validation"]


@pytest.mark.parametrize("epochs", [1, 2, 100])
def test_epochs_are_whole_numbers_and_visible(epochs: int) -> None:
    figure = learning_curves_figure({fold: history(epochs, fold) for fold in range(5)}, TITLE, {0: 1})
    axes = figure.axes[1]
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == round(tick) for tick in ticks)
    assert low < 1 <= epochs < high
    assert all(line.get_marker() not in ("", "None") for line in axes.lines)


@pytest.mark.parametrize("folds", [1, 5, 10])
def test_learning_curves_keep_their_text_inside_and_apart(folds: int) -> None:
    figure = learning_curves_figure({fold: history(7, fold) for fold in range(folds)}, TITLE)
    assert margin(figure) == pytest.approx(0.1, abs=0.02)
    assert overlapping(figure) == []


def test_of_an_epoch_run_twice_the_last_value_counts() -> None:
    twice = {**history(2), "validation/auc": [(1, 0.5), (2, 0.6), (2, 0.8)]}
    assert learning_curves_figure({0: twice}, "").axes[1].lines[0].get_ydata().tolist() == [0.5, 0.8]


def test_histories_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(UserError, match="no folds to draw"):
        learning_curves_figure({}, "")
    with pytest.raises(UserError, match=r"fold 2 has no values of validation/loss, only train/loss"):
        learning_curves_figure({2: {"train/loss": [(1, 0.5)]}}, "")
    with pytest.raises(UserError, match="best epoch of fold 0 is 9"):
        learning_curves_figure({0: history(3)}, "", {0: 9})


def test_the_values_are_written_beside_their_rows() -> None:
    figure = dots(3, published=PUBLISHED)
    assert written(figure, 0) == ["81.0 ± 1.0", "85.0", "91.2", "89.9", "–"]
    assert written(figure, 1) == ["0.910 ± 0.010", "0.950", "0.965", "0.965", "0.965"]


def test_dots_mean_and_interval_are_where_they_belong() -> None:
    axes = dots(3, intervals={"auc": (0.93, 0.97)}).axes[1]
    assert [line.get_xdata()[0] for line in axes.lines] == pytest.approx([0.9, 0.91, 0.92, 0.95])
    mean, interval = (collection.get_segments()[0][:, 0].tolist() for collection in axes.collections)
    assert mean == pytest.approx([0.91, 0.91])
    assert interval == [0.93, 0.97]


def test_each_published_result_has_a_row_of_its_own() -> None:
    figure = dots(5, published=PUBLISHED)
    labels = [label.get_text().replace("\n", " ") for label in figure.axes[0].get_yticklabels()]
    assert labels == ["5 folds", "ensemble", *(model for model, _, _ in PUBLISHED)]
    assert len({line.get_ydata()[0] for line in figure.axes[1].lines}) == 5 + 1 + 3


@pytest.mark.parametrize(("folds", "published"), [(1, []), (5, PUBLISHED), (10, PUBLISHED * 3)])
def test_fold_dots_keep_their_text_inside_and_apart(folds: int, published: list[Any]) -> None:
    figure = dots(folds, published=published, combination="pooled")
    assert margin(figure) == pytest.approx(0.1, abs=0.02)
    assert overlapping(figure) == []


def test_metrics_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(UserError, match="no folds to draw"):
        fold_dots_figure({}, {}, "")
    with pytest.raises(UserError, match="the accuracy of fold 0 is 85"):
        fold_dots_figure({0: {"accuracy": 85, "auc": 0.9}}, {}, "")
    with pytest.raises(UserError, match="the auc of ensemble is None"):
        fold_dots_figure(metrics(1), {"accuracy": 0.9}, "")


def test_cells_hold_counts_and_shares_of_their_part() -> None:
    figure = class_balance_figure({"fold 0": [30, 10], "test": [1500, 4500]}, ["a", "b"], "")
    assert written(figure) == ["30\n75.0%", "1,500\n25.0%", "10\n25.0%", "4,500\n75.0%"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["fold 0\n40", "test\n6,000"]


def test_the_color_is_the_share() -> None:
    image = class_balance_figure({"fold 0": [30, 10], "test": [1, 0]}, ["a", "b"], "").axes[0].images[0]
    assert image.get_array().tolist() == [[75, 100], [25, 0]]


@pytest.mark.parametrize(("classes", "parts"), [(2, 2), (14, 11)])
def test_the_class_table_keeps_its_text_inside_and_apart(classes: int, parts: int) -> None:
    figure = balance(classes, parts)
    assert margin(figure) == pytest.approx(0.1, abs=0.02)
    assert overlapping(figure) == []


@pytest.mark.parametrize("counts", [{}, {"test": [1]}, {"test": [1, -1]}, {"test": [0, 0]}])
def test_counts_that_cannot_be_drawn_are_refused(counts: dict[str, list[int]]) -> None:
    with pytest.raises(UserError, match=r"no parts to draw|the counts of test are"):
        class_balance_figure(counts, ["a", "b"], "")


def test_names_are_text_and_not_mathematics(tmp_path: Path) -> None:
    save_figure(balance(2, 2), tmp_path / "balance")
    save_figure(dots(2, published=[(r"$\frac", 0.9, 0.9)]), tmp_path / "dots")
