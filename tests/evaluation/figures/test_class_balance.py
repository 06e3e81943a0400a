"""The balance of classes shows the counts that it was given, of two classes as of 14."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.class_balance import draw_class_balance
from medmamba_monai.evaluation.figures.style import save_figure
from tests.helpers.drawn_figures import margin, overlapping

TITLE = "MedMamba-T on a dataset with quite a long name, five folds, test"
LONG = ["Collecting Duct, Connecting Tubule", r"$\frac", *(f"class {index}" for index in range(12))]


def balance(classes: int, parts: int) -> Figure:
    counts = np.random.default_rng(0).integers(1, 20_000, (parts, classes)).tolist()
    return draw_class_balance({f"fold {part}": row for part, row in enumerate(counts)}, LONG[:classes], TITLE)


def written(figure: Figure, panel: int = 0) -> list[str]:
    return [text.get_text() for text in figure.axes[panel].texts]


def test_cells_hold_counts_and_shares_of_their_part() -> None:
    figure = draw_class_balance({"fold 0": [30, 10], "test": [1500, 4500]}, ["a", "b"], "")
    assert written(figure) == ["30\n75.0%", "1,500\n25.0%", "10\n25.0%", "4,500\n75.0%"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["fold 0\n40", "test\n6,000"]


def test_the_color_is_the_share() -> None:
    image = draw_class_balance({"fold 0": [30, 10], "test": [1, 0]}, ["a", "b"], "").axes[0].images[0]
    assert image.get_array().tolist() == [[75, 100], [25, 0]]


@pytest.mark.parametrize(("classes", "parts"), [(2, 2), (14, 11)])
def test_the_class_table_keeps_its_text_inside_and_apart(classes: int, parts: int) -> None:
    figure = balance(classes, parts)
    assert margin(figure) == pytest.approx(0.1, abs=0.02)
    assert overlapping(figure) == []


@pytest.mark.parametrize("counts", [{}, {"test": [1]}, {"test": [1, -1]}, {"test": [0, 0]}])
def test_counts_that_cannot_be_drawn_are_refused(counts: dict[str, list[int]]) -> None:
    with pytest.raises(UserError, match=r"no parts to draw|the counts of test are"):
        draw_class_balance(counts, ["a", "b"], "")


def test_names_are_text_and_not_mathematics(tmp_path: Path) -> None:
    save_figure(balance(2, 2), tmp_path / "balance")
