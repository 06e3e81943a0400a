"""Curves show scikit-learn's numbers, stay readable with any number of classes, and refuse what they cannot draw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.curves import draw_precision_recall, draw_roc
from medmamba_monai.evaluation.figures.style import save_figure
from medmamba_monai.evaluation.scores import Scores
from tests.helpers.drawn_figures import margin, overlapping
from tests.helpers.legends import legend

Part = tuple[np.ndarray, np.ndarray]
LONG = "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)"


def one_class(classes: int, seed: int = 0, images: int = 120) -> Part:
    generator = np.random.default_rng(seed)
    truth = np.resize(np.arange(classes), images)
    scores = np.exp(generator.normal(size=(images, classes)) + 1.5 * np.eye(classes)[truth])
    return scores / scores.sum(axis=1, keepdims=True), truth


def labels(count: int, seed: int = 0) -> Part:
    generator = np.random.default_rng(seed)
    truth = (generator.random((150, count)) < 0.3).astype(int)
    return np.clip(0.3 * truth + 0.7 * generator.random(truth.shape), 0, 1), truth


def names(count: int) -> list[str]:
    return [LONG, r"$\frac", *(f"class {index}" for index in range(2, count))][:count]


def draw(
    figure_of: Callable[..., Figure],
    folds: list[Part],
    combined: Part,
    class_names: list[str],
    task: str,
    title: str = "",
    *options: str,
    **others: object,
) -> Figure:
    """The figure of probabilities and labels of a task."""
    checked = [Scores(*part, task) for part in (*folds, combined)]  # type: ignore[arg-type]
    return figure_of(checked[:-1], checked[-1], class_names, title, *options, **others)


def several(figure_of: type, count: int) -> Figure:
    folds = [one_class(count, seed) for seed in range(3)]
    return draw(figure_of, folds, folds[0], names(count), "multi-class", "title")


def test_the_binary_legend_holds_the_areas_of_scikit_learn() -> None:
    folds = [one_class(2, seed) for seed in range(1, 4)]
    scores, truth = one_class(2)
    aucs = [roc_auc_score(truth, scores[:, 1]) for scores, truth in folds]
    figure = draw(draw_roc, folds, (scores, truth), ["a", "b"], "binary", "", interval=(0.8, 0.95))
    assert legend(figure) == [
        f"{roc_auc_score(truth, scores[:, 1]):.3f} (0.800–0.950)  ensemble",
        f"{np.mean(aucs):.3f} ± {np.std(aucs, ddof=1):.3f}  3 folds",
        "0.500  chance",
    ]
    assert figure.axes[0].get_legend().get_title().get_text() == "AUC (95 % interval)"


def test_the_binary_legend_holds_average_precision_and_prevalence() -> None:
    scores, truth = one_class(2, images=101)
    figure = draw(draw_precision_recall, [(scores, truth)], (scores, truth), ["a", "b"], "binary", "", "pooled")
    area = average_precision_score(truth, scores[:, 1])
    assert legend(figure) == [f"{area:.3f}  pooled", f"{truth.mean():.3f}  chance"]


def test_the_combination_is_drawn_point_by_point() -> None:
    scores, truth = one_class(2)
    line = draw(draw_roc, [(scores, truth)], (scores, truth), ["a", "b"], "binary", "").axes[0].lines[0]
    assert line.get_xydata() == pytest.approx(np.stack(roc_curve(truth, scores[:, 1])[:2], axis=1))


def test_one_column_of_probabilities_is_enough_for_two_classes() -> None:
    scores, truth = one_class(2)
    whole, column = (
        legend(draw(draw_roc, [part], part, ["a", "b"], "binary", ""))
        for part in ((scores, truth), (scores[:, 1], truth))
    )
    assert whole == column


def test_the_band_is_mean_and_deviation_of_the_folds() -> None:
    folds = [one_class(2, seed) for seed in range(4)]
    band = draw(draw_roc, folds, folds[0], ["a", "b"], "binary", "").axes[0].collections[0].get_paths()[0].vertices
    at_half = sorted(band[np.isclose(band[:, 0], 0.5), 1])
    values = [np.interp(0.5, *roc_curve(truth, scores[:, 1])[:2]) for scores, truth in folds]
    mean, deviation = np.mean(values), np.std(values, ddof=1)
    assert at_half == pytest.approx([mean - deviation, min(mean + deviation, 1)])


def test_several_classes_are_named_from_best_to_worst() -> None:
    figure = several(draw_roc, 8)
    scores, truth = one_class(8)
    aucs = sorted((roc_auc_score(truth == index, scores[:, index]) for index in range(8)), reverse=True)
    assert [float(text.split()[0]) for text in legend(figure)[2:]] == [round(auc, 3) for auc in aucs]
    assert legend(figure)[0] == f"{np.mean(aucs):.3f}  ensemble, mean of 8"


def test_of_many_classes_the_best_and_the_worst_are_named() -> None:
    scores, truth = one_class(11)
    aucs = [roc_auc_score(truth == index, scores[:, index]) for index in range(11)]
    _, _, best, others, worst = legend(several(draw_roc, 11))
    assert "".join(best.split("\n")).startswith(f"{max(aucs):.3f}  best: {names(11)[int(np.argmax(aucs))][:10]}")
    assert others == f"{sorted(aucs)[1]:.3f}–{sorted(aucs)[-2]:.3f}  the 9 others"
    assert worst.startswith(f"{min(aucs):.3f}  worst: {names(11)[int(np.argmin(aucs))][:10]}")


def test_labels_have_a_curve_each() -> None:
    scores, truth = labels(14)
    figure = draw(draw_precision_recall, [(scores, truth)], (scores, truth), names(14), "multi-label", "")
    area = average_precision_score(truth, scores, average="macro")
    assert legend(figure)[0] == f"{area:.3f}  ensemble, mean of 14"
    assert len(figure.axes[0].lines) == 1 + 14


@pytest.mark.parametrize("figure_of", [draw_roc, draw_precision_recall])
def test_the_mean_curve_encloses_the_mean_area(figure_of: type) -> None:
    figure = several(figure_of, 5)
    x, y = figure.axes[0].lines[0].get_data()
    steps = figure.axes[0].lines[0].get_drawstyle() == "steps-pre"
    area = np.sum(np.diff(x) * (y[1:] if steps else (y[1:] + y[:-1]) / 2))
    assert area == pytest.approx(float(legend(figure)[0].split()[0]), abs=2e-3)


def test_the_mean_precision_is_that_of_the_threshold_which_reaches_a_recall() -> None:
    part = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]]), np.array([1, 0, 1, 0])
    line = draw(draw_precision_recall, [part], part, ["a", "b"], "multi-class", "").axes[0].lines[0]
    precision = dict(line.get_xydata().round(3).tolist())
    assert (precision[0.5], precision[0.502], precision[1]) == (1, 0.667, 0.667)


def test_precision_is_not_interpolated() -> None:
    lines = several(draw_precision_recall, 3).axes[0].lines
    assert {line.get_drawstyle() for line in lines} == {"steps-pre"}


@pytest.mark.parametrize("figure_of", [draw_roc, draw_precision_recall])
@pytest.mark.parametrize("count", [3, 8, 11])
def test_text_is_inside_and_apart(figure_of: type, count: int) -> None:
    figure = several(figure_of, count)
    assert margin(figure) == pytest.approx(0.1, abs=0.02)
    assert overlapping(figure) == []


def test_both_axes_have_the_same_scale() -> None:
    axes = several(draw_roc, 3).axes[0]
    width, height = axes.get_window_extent().size
    assert (axes.get_aspect(), width) == (1, pytest.approx(height))


def test_names_are_text_and_not_mathematics(tmp_path: Path) -> None:
    save_figure(several(draw_roc, 3), tmp_path / "roc")


def test_scores_that_cannot_be_drawn_are_refused() -> None:
    part = one_class(3)
    with pytest.raises(UserError, match="no folds to draw"):
        draw(draw_roc, [], part, names(3), "multi-class", "")
    with pytest.raises(UserError, match="there are 3 classes, but 2 class names"):
        draw(draw_roc, [part], part, names(2), "multi-class", "")
    with pytest.raises(UserError, match="class 2 is in none of the 2 samples"):
        draw(draw_roc, [(part[0][:2], part[1][:2])], part, names(3), "multi-class", "")
