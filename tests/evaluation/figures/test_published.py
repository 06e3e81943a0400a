from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from medmamba_monai.evaluation.figures.published import draw_published
from medmamba_monai.evaluation.figures.style import save_figure
from tests.helpers.drawn_figures import margin, overlapping

OWN = ("this run, ensemble", {"auc": 0.9671, "accuracy": 0.89})
PUBLISHED = [
    ("MedMamba-T", {"auc": 0.965, "accuracy": 0.912}),
    ("Google AutoML Vision, with a long name that has to be wrapped", {"auc": 0.991, "accuracy": 0.946}),
    ("$repository$", {"auc": 0.965, "accuracy": 0.899}),
]
TITLE = "demo: MedMamba on PneumoniaMNIST, five folds, test"


@pytest.fixture(scope="module")
def figure() -> Figure:
    return draw_published(OWN, PUBLISHED, TITLE, {"auc": (0.95, 0.98)})


def test_rows_are_in_the_order_of_the_auc_with_their_values(figure: Figure) -> None:
    names = [label.get_text().replace("\n", " ") for label in figure.axes[0].get_yticklabels()]
    assert names == [PUBLISHED[1][0], OWN[0], PUBLISHED[0][0], PUBLISHED[2][0]]
    written = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert written == [["0.991", "0.967", "0.965", "0.965"], ["94.6", "89.0", "91.2", "89.9"]]


def test_the_interval_is_a_band_and_a_line_where_there_is_one(figure: Figure) -> None:
    auc, accuracy = figure.axes
    assert auc.patches[0].get_extents().transformed(auc.transData.inverted()).intervalx == pytest.approx([0.95, 0.98])
    assert auc.collections[0].get_segments()[0][:, 0].tolist() == [0.95, 0.98]
    assert (len(accuracy.patches), len(accuracy.collections)) == (0, 0)


def test_only_the_own_row_is_filled(figure: Figure) -> None:
    assert [line.get_markerfacecolor() == "white" for line in figure.axes[0].lines] == [True, False, True, True]


@pytest.mark.parametrize("count", [1, 12])
def test_text_stays_inside_and_apart(count: int) -> None:
    figure = draw_published(OWN, (PUBLISHED * 4)[:count], TITLE, {"auc": (0.95, 0.98), "accuracy": (0.86, 0.91)})
    assert margin(figure) == pytest.approx(0.1, abs=0.02)
    assert overlapping(figure) == []


def test_names_are_text_and_not_mathematics(tmp_path: Path) -> None:
    save_figure(draw_published(OWN, [(r"$\frac", {"auc": 0.9, "accuracy": 0.9})], TITLE), tmp_path / "published")
