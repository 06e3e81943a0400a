from __future__ import annotations

from functools import cache

import pytest

from medmamba_monai.evaluation.reports.page import Section
from medmamba_monai.evaluation.reports.published import NOT_A_TEST, Own, Published, make_published_section, place
from medmamba_monai.evaluation.results.cross_validation import CrossValidationResult, evaluate_folds
from medmamba_monai.evaluation.statistics.resampling import Interval
from tests.helpers.predicted_folds import predicted_folds

PUBLISHED = [
    Published("low", accuracy=0.0, auc=0.0, source="a paper"),
    Published("high", accuracy=1.0, auc=1.0, source="a page"),
    Published("lower", accuracy=1.0, auc=0.1, source="a paper"),
]


@cache
def result() -> CrossValidationResult:
    return evaluate_folds(predicted_folds("binary", "ensemble", 2), "ensemble", resamples=1000)


def own(name: str = "this run, ensemble") -> Own:
    return Own(name, result().metrics, result().intervals.metrics)


@cache
def section() -> Section:
    return make_published_section([own()], PUBLISHED)


def test_rows_are_sorted_and_the_run_stands_among_them() -> None:
    rows = section().tables[0].rows
    assert [row[0] for row in rows] == ["high [1]", "this run, ensemble", "lower [2]", "low [2]"]
    assert [row[1:] for row in rows if row[0] == "high [1]"] == [["1.0000", "above", "100.00", "above"]]
    assert [row[1:] for row in rows if row[0] == "lower [2]"] == [["0.1000", "below", "100.00", "above"]]


def test_every_source_is_listed_once() -> None:
    assert list(section().bullets) == ["[1] a page", "[2] a paper"]


def test_a_sentence_counts_and_the_note_says_that_it_is_no_test() -> None:
    summary, note = section().paragraphs
    assert summary.startswith("This run, ensemble: AUC ")
    assert "of 3 published figures 2 below, 0 inside, 1 above the interval; accuracy" in summary
    assert "of 3 published figures 1 below, 0 inside, 2 above the interval." in summary
    assert note == NOT_A_TEST


def test_without_an_interval_nothing_is_placed() -> None:
    without = Own("a", result().metrics, {"auc": "one image", "accuracy": "one image"})
    found = make_published_section([without], PUBLISHED)
    assert "without an interval to lay published figures beside" in found.paragraphs[0]
    assert {cell for row in found.tables[0].rows for cell in row[2::2]} == {"–"}


def test_several_results_stand_in_one_table() -> None:
    table = make_published_section([own("a"), own("b")], PUBLISHED).tables[0]
    assert list(table.header[:5]) == ["method", "AUC", "to that of a", "to that of b", "accuracy (%)"]
    rows = {row[0]: row[2:4] for row in table.rows}
    assert rows["low [2]"] == ["below", "below"]
    assert rows["a"][0] == rows["b"][1] != ""
    assert rows["a"][1] == rows["b"][0] == ""


@pytest.mark.parametrize(("value", "where"), [(0.1, "below"), (0.2, "inside"), (0.4, "inside"), (0.41, "above")])
def test_ends_belong_to_the_interval(value: float, where: str) -> None:
    assert place(value, Interval(0.2, 0.4)) == where
