"""A comparison in words, tables and JSON; what it claims is tested in test_comparison.py."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import pytest

from medmamba_monai.evaluation.metrics.catalogue import list_metrics
from medmamba_monai.evaluation.reports.comparison_tables import (
    describe_comparison,
    explain_facts,
    format_p,
    make_differences_table,
    make_models_table,
    make_tests_table,
    name_comparison_values,
    write_sentences,
)
from medmamba_monai.evaluation.results.comparison import COMPARED, Comparison, FactsAuc, Model, compare
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.statistics.significance import FoldDifference
from tests.helpers.predicted_folds import predicted_folds


@cache
def compared(task: str = "binary", repetitions: int = 1) -> Comparison:
    models = [
        Model(name, [predicted_folds(task, skill=skill, seed=seed + run) for run in range(repetitions)])
        for name, skill, seed in (("first", 1.5, 0), ("second", 0.0, 10))
    ]
    return compare(models, resamples=300)


def with_p(image_p: float, fold_p: float) -> Comparison:
    """The comparison with other adjusted p-values."""
    (pair,) = compared().pairs
    tests = {metric: replace(found, image_p=image_p, fold_p=fold_p) for metric, found in pair.tests.items()}
    return replace(compared(), pairs=[replace(pair, tests=tests)])


@pytest.mark.parametrize(
    ("image_p", "fold_p", "said"),
    [
        (0.049, 0.049, "first is better than second"),
        (0.049, 0.051, "which network is better is not shown"),
        (0.051, 0.001, "No difference is shown"),
        (0.051, 0.051, "No difference is shown"),
    ],
)
def test_a_claim_needs_both_tests(image_p, fold_p, said):
    assert all(said in text for text in write_sentences(with_p(image_p, fold_p)))


def test_a_sentence_tells_values_difference_and_p_values():
    text = write_sentences(with_p(0.0123, 1e-20))[1]
    a, b = (100 * compared().metrics[name]["accuracy"] for name in ("first", "second"))
    assert text.startswith(f"Accuracy: first {a:.2f} %, second {b:.2f} %, difference {a - b:+.2f}.")
    assert "McNemar's test, p = 0.012" in text
    assert "t-test, p <1e-15" in text


@pytest.mark.parametrize(
    ("p", "text"), [(1.0, "1.000"), (0.0449, "0.045"), (0.00099, "9.9e-04"), (0.0, "<1e-15"), (None, "not testable")]
)
def test_a_p_value_is_never_shown_as_zero(p, text):
    assert format_p(p) == text


@pytest.mark.parametrize("task", ["binary", "multi-label"])
def test_every_metric_is_a_row_of_both_tables(task):
    (pair,) = compared(task).pairs
    for table in (make_models_table(compared(task)), make_differences_table(compared(task), pair)):
        assert len(table.rows) == len(list_metrics(task))


def test_repetitions_have_their_spread():
    table = make_models_table(compared(repetitions=2))
    assert table.header.count("mean ± std of seeds") == 2
    assert all("±" in row[3] for row in table.rows)


def test_tests_are_listed_with_raw_and_adjusted_p_values():
    (pair,) = compared().pairs
    table = make_tests_table(pair)
    assert [row[0] for row in table.rows] == ["AUC", "AUC", "Accuracy", "Accuracy"]
    raw, adjusted = table.rows[0][2:]
    assert (raw, adjusted) == (format_p(pair.tests["auc"].over_images.p_value), format_p(pair.tests["auc"].image_p))


def test_folds_that_never_differ_in_their_difference_are_not_testable():
    (pair,) = compared().pairs
    constant = FoldDifference(0.1, None, 2, None, "the same in all folds")
    tests = {metric: replace(found, over_folds=constant, fold_p=1.0) for metric, found in pair.tests.items()}
    assert make_tests_table(replace(pair, tests=tests)).rows[1][2] == "not testable"


@pytest.mark.parametrize("task", ["binary", "multi-label"])
def test_the_json_explains_itself(task):
    found = json.loads(json.dumps(describe_comparison(compared(task)), allow_nan=False))
    (pair,) = found["pairs"]
    assert set(pair["tests"]) == set(COMPARED)
    assert pair["tests"]["auc"]["over_images"].keys() == {"name", "p_value"}
    assert pair["tests"]["auc"]["over_folds"]["degrees_of_freedom"] == 2
    assert pair["tests"]["auc"]["verdict"] == compared(task).pairs[0].tests["auc"].verdict
    assert found["metrics"]["first"]["auc"] == compared(task).metrics["first"]["auc"]


def test_values_for_mlflow_hold_the_adjusted_p_values():
    values, tests = name_comparison_values(compared()), compared().pairs[0].tests
    assert values["p_images_0_1/auc"] == tests["auc"].image_p
    assert values["p_trainings_0_1/accuracy"] == tests["accuracy"].fold_p


FACTS = FactsAuc(0.8312, Interval(0.81, 0.85))


def test_what_facts_alone_reach_is_a_row_beside_the_networks():
    with_facts = replace(compared(), facts=FACTS)
    names = [row[0] for row in make_models_table(with_facts).rows]
    row = make_models_table(with_facts).rows[names.index("AUC of facts alone")]
    assert list(row[1:]) == ["0.8312", "0.8100 to 0.8500"] * 2
    assert names.index("AUC of facts alone") == names.index("AUC") + 1
    assert name_comparison_values(with_facts)["facts_alone/auc"] == 0.8312
    assert describe_comparison(with_facts)["facts_alone"]["interval"]["low"] == 0.81
    assert "reaches 0.8312 (0.8100 to 0.8500)" in explain_facts(with_facts)[0]


def test_without_an_audit_there_is_no_such_row():
    assert "AUC of facts alone" not in [row[0] for row in make_models_table(compared()).rows]
    assert explain_facts(compared()) == []
    assert "facts_alone/auc" not in name_comparison_values(compared())
