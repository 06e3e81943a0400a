"""Figures show the right numbers, keep their text inside, and are written whole."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image
from sklearn.metrics import recall_score, roc_auc_score

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.confusion import (
    draw_confusion_matrix,
    draw_labels,
    save_predictions_figure,
)
from medmamba_monai.evaluation.figures.style import save_figure
from medmamba_monai.evaluation.predictions import Predictions
from medmamba_monai.evaluation.scores import Scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TWO = ["normal", "pneumonia"]
LONG = [
    "Collecting Duct, Connecting Tubule",
    "Distal Convoluted Tubule",
    "Glomerular endothelial cells",
    "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
    "cancer-associated stroma",
    "colorectal adenocarcinoma epithelium",
    "kidney-left",
    "kidney-right",
    "liver",
    "pancreas",
    "spleen",
]


def draw(class_names: list[str], title: str = "fold 0, test set") -> Figure:
    generator = np.random.default_rng(0)
    labels, predicted = generator.integers(len(class_names), size=(2, 20_000))
    return draw_confusion_matrix(labels, predicted, class_names, title)


def cells(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_cells_hold_counts_and_row_percentages() -> None:
    figure = draw_confusion_matrix([0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 0, 1], TWO, "")
    assert cells(figure) == ["3\n75%", "1\n25%", "1\n50%", "1\n50%"]


def test_percentages_do_not_round_to_nothing_or_to_all() -> None:
    figure = draw_confusion_matrix([0] * 1000 + [1], [0] * 999 + [1, 1], TWO, "")
    assert cells(figure) == ["999\n>99%", "1\n<1%", "0\n0%", "1\n100%"]


def test_a_class_without_images_has_no_percentage() -> None:
    assert cells(draw_confusion_matrix([0], [1], TWO, "")) == ["0\n0%", "1\n100%", "0\n-", "0\n-"]


def test_axes_name_the_classes_and_their_roles() -> None:
    axes = draw(TWO, "fold 3").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == TWO
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("predicted class", "true class", "fold 3")


def test_a_name_with_dollar_signs_is_text_and_not_mathematics(tmp_path: Path) -> None:
    save_figure(draw([r"grade $\frac", "b$"], r"$\title"), tmp_path / "figure")


@pytest.mark.parametrize("class_names", [TWO, LONG, list("01234")])
def test_all_text_is_inside_the_figure(class_names: list[str]) -> None:
    figure = draw(class_names, "MedMamba-T on a dataset with quite a long name, fold 0, test set")
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("class_names", [TWO, LONG])
def test_no_name_covers_another(class_names: list[str]) -> None:
    figure = draw(class_names)
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(upper.y0 >= lower.y1 for upper, lower in itertools.pairwise(boxes))


def test_cell_text_stays_inside_its_cell() -> None:
    figure = draw_confusion_matrix([index for index in range(11) for _ in range(9)] * 2000, [0] * 198_000, LONG, "")
    figure.draw_without_rendering()
    cell = figure.axes[0].get_window_extent().width / 11
    assert max(text.get_window_extent().width for text in figure.axes[0].texts) < cell


def test_png_and_svg_are_written(tmp_path: Path) -> None:
    figure = draw(TWO)
    png, svg = save_figure(figure, tmp_path / "figures" / "fold_0.test")
    assert (png.name, svg.name) == ("fold_0.test.png", "fold_0.test.svg")
    assert Image.open(png).width == pytest.approx(figure.get_size_inches()[0] * 200, abs=1)
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")


def test_the_same_figure_gives_the_same_picture(tmp_path: Path) -> None:
    first, second = (save_figure(draw(TWO), tmp_path / name)[0] for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/figure\.png"):
        save_figure(draw(TWO), tmp_path / "file" / "figure")


def test_light_and_dark_of_the_colors_differ_in_gray() -> None:
    shades = np.asarray(draw(TWO).axes[0].images[0].get_cmap()(np.linspace(0, 1, 11)))[:, :3] @ [0.299, 0.587, 0.114]
    assert np.all(np.diff(shades) < -0.02)


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        ([0, 1], [0], r"labels \(2,\) and predicted \(1,\)"),
        ([], [], "not two equal, non-empty lists"),
        ([[0, 1]], [[0, 1]], "not two equal, non-empty lists"),
        ([0, 2], [0, 1], "classes range from 0 to 2, but there are 2 class names"),
        ([0, 1], [0, -1], "classes range from -1 to 1"),
    ],
)
def test_input_that_does_not_fit_raises(labels: list[int], predicted: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        draw_confusion_matrix(labels, predicted, TWO, "")


def test_drawing_leaves_nothing_behind_in_pyplot(tmp_path: Path) -> None:
    settings = dict(matplotlib.rcParams)
    save_figure(draw(TWO), tmp_path / "figure")
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == settings


def test_figures_can_be_drawn_in_threads(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        files = list(pool.map(lambda index: save_figure(draw(TWO), tmp_path / str(index)), range(4)))
    assert len({png.read_bytes() for png, _ in files}) == 1


FINDINGS = ["Hernia", "Pleural thickening", r"$\frac", *LONG]


def draw_many_labels(names: list[str] = FINDINGS) -> tuple[np.ndarray, np.ndarray, Figure]:
    generator = np.random.default_rng(0)
    labels = (generator.random((500, len(names))) < 0.3).astype(int)
    probabilities = np.clip(0.4 * labels + 0.7 * generator.random(labels.shape), 0, 1)
    return (
        labels,
        probabilities,
        draw_labels(Scores(probabilities, labels, "multi-label"), names, "ChestMNIST, fold 0, test"),
    )


def test_a_label_has_its_auc_sensitivity_and_specificity() -> None:
    labels, probabilities, figure = draw_many_labels()
    found = [np.asarray(markers.get_offsets())[:, 0] for markers in figure.axes[0].collections[:3]]
    columns = list(zip(labels.T, probabilities.T, strict=True))
    assert found[0] == pytest.approx([roc_auc_score(truth, score) for truth, score in columns])
    assert found[1] == pytest.approx([recall_score(truth, score > 0.5) for truth, score in columns])
    assert found[2] == pytest.approx([recall_score(truth, score > 0.5, pos_label=0) for truth, score in columns])


def test_the_columns_beside_the_labels_hold_auc_and_images() -> None:
    labels, probabilities, figure = draw_many_labels()
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts[1] == f"{roc_auc_score(labels[:, 0], probabilities[:, 0]):.3f}"
    assert texts[len(FINDINGS) + 1 :] == ["images", *(str(count) for count in labels.sum(axis=0))]


@pytest.mark.parametrize("names", [FINDINGS, FINDINGS[:2]])
def test_a_label_figure_keeps_its_text_inside_and_apart(names: list[str]) -> None:
    figure = draw_many_labels(names)[2]
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) == pytest.approx(0.1, abs=0.02)
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(upper.y0 >= lower.y1 for upper, lower in itertools.pairwise(boxes))


def test_a_label_without_a_name_or_an_image_is_refused() -> None:
    with pytest.raises(UserError, match="there are 2 labels, but 1 names"):
        draw_labels(Scores([[0.2, 0.8]] * 2, [[0, 1], [1, 0]], "multi-label"), ["Hernia"], "")
    with pytest.raises(UserError, match="label 1 is 0 in all"):
        draw_labels(Scores([[0.2, 0.8]] * 2, [[0, 0], [1, 0]], "multi-label"), TWO, "")


@pytest.mark.parametrize(("labels", "stem"), [([0, 1], "confusion_matrix_test"), ([[0, 1], [1, 0]], "labels_test")])
def test_the_task_decides_what_is_drawn(tmp_path: Path, labels: list[int], stem: str) -> None:
    task = "multi-label" if np.ndim(labels) == 2 else "binary"
    predictions = Predictions([[0.4, 0.6]] * 2, labels, task, ids=["a", "b"], parts=["test"] * 2, class_names=TWO)
    paths = save_predictions_figure(predictions, "title", tmp_path, "test")
    assert [path.name for path in paths] == [f"{stem}.png", f"{stem}.svg"]
    assert all(path.is_file() for path in paths)
