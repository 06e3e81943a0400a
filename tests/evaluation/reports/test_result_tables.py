"""A result as JSON, CSV and tables: the numbers that it holds, under the names that readers and MLflow see."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from functools import cache
from statistics import fmean, stdev

import pytest
from sklearn import metrics as sk

from medmamba_monai.evaluation.metrics.catalogue import CATALOGUE, list_class_metrics, list_metrics
from medmamba_monai.evaluation.reports.result_tables import (
    make_calibration_table,
    make_classes_table,
    make_folds_table,
    make_metrics_table,
    make_operating_points_table,
)
from medmamba_monai.evaluation.results.cross_validation import CrossValidationResult, evaluate_folds
from medmamba_monai.evaluation.results.files import describe_result, format_result_csv, name_all_values
from medmamba_monai.evaluation.results.formatting import format_interval, format_value
from medmamba_monai.evaluation.statistics.resampling import Interval
from tests.helpers.predicted_folds import NAMES, predicted_folds

HOSTILE = ("a, <b>", '"$x$" & |', "line\nbreak")


@cache
def result(task: str = "binary", combination: str = "ensemble", num_folds: int = 3) -> CrossValidationResult:
    return evaluate_folds(predicted_folds(task, combination, num_folds), combination, resamples=1000)


@pytest.mark.parametrize("task", NAMES)
def test_the_json_holds_the_numbers_bit_for_bit(task):
    found = json.loads(json.dumps(describe_result(result(task)), allow_nan=False))
    assert list(found["metrics"]) == list(list_metrics(task))
    assert {name: cell["value"] for name, cell in found["metrics"].items()} == result(task).metrics
    assert list(found["classes"]) == list(NAMES[task])
    assert all(tuple(values) == list_class_metrics(task) for values in found["classes"].values())
    assert found["folds"]["2"]["auc"]["value"] == result(task).fold_metrics[2]["auc"]


def test_the_json_has_the_rates_of_operating_points():
    found_points = result().operating_points
    point = describe_result(result())["operating_points"]["combined"]["highest Youden index"][0]
    assert point["sensitivity"] == point["tp"] / (point["tp"] + point["fn"])
    assert point["threshold"] == found_points.thresholds["highest Youden index"][0]


def test_pooled_folds_have_thresholds_of_their_own_alone():
    points = describe_result(result(combination="pooled"))["operating_points"]
    assert points["thresholds"] is None
    assert "threshold" not in points["combined"]["specificity 95%"][0]
    assert points["folds"]["0"]["specificity 95%"][0]["threshold"] > 0


def test_a_missing_interval_has_its_reason_in_the_json_and_no_limits_in_the_csv():
    intervals = replace(result().intervals, metrics={**result().intervals.metrics, "auc": "too few"})
    without = replace(result()).keep_intervals(intervals, result().fold_intervals)
    assert describe_result(without)["metrics"]["auc"] == {"value": without.metrics["auc"], "no_interval": "too few"}
    assert f"ensemble,auc,{without.metrics['auc']},,\n" in format_result_csv(without)
    assert make_metrics_table(without).rows[5][-1] == "-"
    none = replace(without.intervals, classes={name: ["too few"] * 2 for name in without.intervals.classes})
    assert make_classes_table(replace(result()).keep_intervals(none, {})).rows[0][2].endswith("\n-")
    assert not any(name.startswith("ensemble_interval/auc") for name in name_all_values(without))


@pytest.mark.parametrize("task", ["binary", "multi-label"])
def test_the_csv_has_a_row_for_each_metric_and_class(task):
    rows = list(csv.DictReader(io.StringIO(format_result_csv(result(task)))))
    assert len(rows) == len(list_metrics(task)) + len(NAMES[task]) * len(list_class_metrics(task))
    for row in rows:
        if row["of"] == "ensemble":
            assert float(row["value"]) == result(task).metrics[row["metric"]]
        else:
            index = NAMES[task].index(row["of"])
            assert float(row["value"]) == result(task).class_metrics[row["metric"]][index]


def test_any_class_name_survives_csv_and_json():
    hostile = replace(result("multi-class"), class_names=HOSTILE).keep_intervals(
        result("multi-class").intervals, result("multi-class").fold_intervals
    )
    named = {row["of"] for row in csv.DictReader(io.StringIO(format_result_csv(hostile), newline=""))}
    assert named == {"ensemble", *HOSTILE}
    assert tuple(json.loads(json.dumps(describe_result(hostile)))["classes"]) == HOSTILE
    assert [row[0] for row in make_classes_table(hostile).rows] == list(HOSTILE)


@pytest.mark.parametrize("combination", ["ensemble", "pooled"])
def test_values_for_mlflow_are_named_by_the_combination(combination):
    values = name_all_values(result(combination=combination))
    assert values[f"{combination}/kappa"] == result(combination=combination).metrics["kappa"]
    assert values[f"{combination}_interval/auc_low"] < values[f"{combination}/auc"]
    assert values["calibrated/ece"] == result(combination=combination).calibration.after["ece"]
    assert ("validation_pooled/auc" in values) == (combination == "ensemble")
    assert all(math.isfinite(value) for value in values.values())


def test_the_main_table_has_mean_and_deviation_of_the_folds():
    row = next(row for row in make_metrics_table(result()).rows if row[0] == "AUC")
    aucs = [sk.roc_auc_score(part.labels, part.probabilities[:, 1]) for part in result().tested.values()]
    assert row[1] == f"{fmean(aucs):.4f} ± {stdev(aucs):.4f}"
    assert row[2] == f"{result().metrics['auc']:.4f}"


def test_percent_and_fractions_are_written_as_their_titles_say():
    assert (format_value("accuracy", 0.98765), format_value("auc", 0.98765)) == ("98.77", "0.9877")
    assert format_interval("accuracy", Interval(0.5, 1)) == "50.00 to 100.00"
    assert format_interval("auc", "too few") == "-"
    assert set(list_metrics("ordinal")) == set(CATALOGUE)


def test_one_fold_has_no_deviation():
    table = make_metrics_table(result(num_folds=1))
    assert table.header[1] == "the one fold"
    assert not any("±" in row[1] for row in table.rows)


def test_each_fold_has_a_row():
    assert [row[0] for row in make_folds_table(result()).rows] == ["fold 0", "fold 1", "fold 2"]


def test_classes_are_counted_and_have_intervals():
    assert result("multi-class").combined.class_counts == [20, 20, 20]
    assert result("multi-label").combined.class_counts == result("multi-label").combined.labels.sum(axis=0).tolist()
    table = make_classes_table(result("multi-class"))
    assert [row[1] for row in table.rows] == ["20"] * 3
    value, limits = table.rows[0][2].split("\n")
    interval = result("multi-class").intervals.classes["sensitivity"][0]
    assert (value, limits) == (
        format_value("sensitivity", result("multi-class").class_metrics["sensitivity"][0]),
        f"{100 * interval.low:.2f}–{100 * interval.high:.2f}",
    )


def test_operating_points_say_where_their_threshold_is_from():
    assert make_operating_points_table(result("ordinal")) is None
    table = make_operating_points_table(result())
    assert [row[0] for row in table.rows] == ["Pneumonia: highest Youden index", "Pneumonia: specificity 95%"]
    assert {row[1] for row in make_operating_points_table(result(combination="pooled")).rows} == {"of each fold"}
    assert len(make_operating_points_table(result("multi-label")).rows) == 2 * 3


def test_calibration_is_shown_before_and_after():
    (ece, *_) = make_calibration_table(result()).rows
    calibration = result().calibration
    assert ece[1:] == [f"{calibration.before['ece']:.4f}", f"{calibration.after['ece']:.4f}"]
