"""The picture of a comparison: each model and each difference has a row, and only a claim is filled."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from medmamba_monai.evaluation.figures.comparison import draw_comparison
from medmamba_monai.evaluation.figures.style import BLUE, VERMILLION
from medmamba_monai.evaluation.results.comparison import Comparison, FactsAuc, Model, compare
from medmamba_monai.evaluation.statistics.resampling import Interval
from tests.helpers.predicted_folds import predicted_folds

NAMES = ("MedMamba", "$a_b$ & <c>", "a network with an extraordinarily long name")


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    models = [Model(name, [predicted_folds("binary", seed=10 * seed)]) for seed, name in enumerate(NAMES)]
    return compare(models, resamples=1000)


def points(axes: Axes) -> list[float]:
    return [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() in ("o", "s")]


def names(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def test_models_and_differences_stand_side_by_side(comparison):
    models, differences, accuracies, _ = draw_comparison(comparison, "three").axes
    assert points(models) == pytest.approx([comparison.metrics[name]["auc"] for name in NAMES])
    assert points(accuracies) == pytest.approx([100 * comparison.metrics[name]["accuracy"] for name in NAMES])
    found = [pair.differences.metrics["auc"].value for pair in comparison.pairs]
    assert points(differences) == pytest.approx(found)


def test_intervals_are_lines_and_a_missing_one_is_none(comparison):
    name = NAMES[0]
    intervals = comparison.intervals[name]
    low, high = (intervals.metrics["auc"].low, intervals.metrics["auc"].high)
    first = draw_comparison(comparison, "three").axes[0].lines[0]
    assert list(first.get_xdata()) == [low, high]
    missing = replace(intervals, metrics={**intervals.metrics, "auc": "too few"})
    without = replace(comparison, intervals={**comparison.intervals, name: missing})
    assert len(draw_comparison(without, "three").axes[0].lines) == 2 * len(NAMES) - 1


def test_only_a_claimed_difference_is_filled(comparison):
    pair = comparison.pairs[0]
    tests = {metric: replace(found, image_p=0.0, fold_p=0.0) for metric, found in pair.tests.items()}
    claims = {metric: found.verdict in ("better", "worse") for metric, found in tests.items()}
    claimed = replace(comparison, pairs=[replace(pair, tests=tests), *comparison.pairs[1:]])
    lines = [line for line in draw_comparison(claimed, "three").axes[1].lines if line.get_marker() in ("o", "s")]
    assert [to_hex(line.get_color()).upper() == BLUE.upper() for line in lines] == [claims["auc"], False, False]
    assert {to_hex(line.get_color()).upper() for line in lines[1:]} == {VERMILLION.upper()}
    assert {line.get_markerfacecolor() for line in lines[1:]} == {"white"}


def test_names_are_drawn_as_they_are_and_long_ones_wrapped(comparison):
    axes = draw_comparison(comparison, "three").axes[0]
    assert names(axes)[:2] == list(NAMES[:2])
    assert names(axes)[2].count("\n") == 1
    assert not any(label.get_parse_math() for label in axes.get_yticklabels())


def test_no_text_leaves_the_figure(comparison):
    figure = draw_comparison(comparison, "a title that is longer than all that is below it " * 3)
    box = figure.get_tightbbox()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= figure.get_figwidth()
    assert box.y1 <= figure.get_figheight()


def test_what_facts_alone_reach_is_a_hollow_row_below_the_aucs(comparison):
    drawn = draw_comparison(replace(comparison, facts=FactsAuc(0.81, Interval(0.8, 0.82))), "three")
    models, _, accuracies, _ = drawn.axes
    assert names(models)[-1] == "facts alone"
    assert points(models)[-1] == 0.81
    assert [line.get_markerfacecolor() for line in models.lines if line.get_marker() == "s"] == ["white"]
    assert len(names(accuracies)) == len(NAMES)
