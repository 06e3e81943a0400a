from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from medmamba_monai.evaluation.reports.page import Section
from medmamba_monai.evaluation.reports.published import NOT_A_TEST, Published, make_published_section, place
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


@cache
def section() -> Section:
    return make_published_section(result(), PUBLISHED)


def test_rows_are_sorted_and_the_run_stands_among_them() -> None:
    rows = section().tables[0].rows
    assert [row[0] for row in rows] == ["high [1]", "this run, ensemble", "lower [2]", "low [2]"]
    assert [row[1:] for row in rows if row[0] == "high [1]"] == [["1.0000", "above", "100.00", "above"]]
    assert [row[1:] for row in rows if row[0] == "lower [2]"] == [["0.1000", "below", "100.00", "above"]]


def test_every_source_is_listed_once() -> None:
    assert list(section().bullets) == ["[1] a page", "[2] a paper"]


def test_a_sentence_counts_and_the_note_says_that_it_is_no_test() -> None:
    summary, note = section().paragraphs
    assert "of 3 published figures 2 below, 0 inside, 1 above it." in summary
    assert "of 3 published figures 1 below, 0 inside, 2 above it." in summary
    assert note == NOT_A_TEST


def test_without_an_interval_nothing_is_placed() -> None:
    told = result().intervals
    none = replace(told, metrics=dict.fromkeys(told.metrics, "one image"))
    without = replace(result()).keep_intervals(none, result().fold_intervals)
    found = make_published_section(without, PUBLISHED)
    assert "it has no interval to lay published figures beside" in found.paragraphs[0]
    assert {cell for row in found.tables[0].rows for cell in row[2::2]} == {"–"}


@pytest.mark.parametrize(("value", "where"), [(0.1, "below"), (0.2, "inside"), (0.4, "inside"), (0.41, "above")])
def test_ends_belong_to_the_interval(value: float, where: str) -> None:
    assert place(value, Interval(0.2, 0.4)) == where
