"""A review as JSON, CSV and tables: the numbers that it holds, under the names that readers and MLflow see."""

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

from medmamba_monai.evaluation.metrics.review import REVIEW_CLASS_METRICS, metric_names
from medmamba_monai.evaluation.reports.review_tables import (
    TITLES,
    calibration_table,
    class_counts,
    classes_table,
    folds_table,
    metrics_table,
    operating_points_table,
    review_csv,
    review_json,
    review_values,
    shown,
    shown_interval,
)
from medmamba_monai.evaluation.results.review import Review, review_folds
from medmamba_monai.evaluation.statistics.resampling import Interval
from tests.helpers.predicted_folds import NAMES, predicted_folds

HOSTILE = ("a, <b>", '"$x$" & |', "line\nbreak")


@cache
def review(task: str = "binary", combination: str = "ensemble", num_folds: int = 3) -> Review:
    return review_folds(predicted_folds(task, combination, num_folds), task, NAMES[task], combination, resamples=1000)


@pytest.mark.parametrize("task", NAMES)
def test_the_json_holds_the_numbers_bit_for_bit(task):
    found = json.loads(json.dumps(review_json(review(task)), allow_nan=False))
    assert list(found["metrics"]) == list(metric_names(task))
    assert {name: cell["value"] for name, cell in found["metrics"].items()} == review(task).metrics
    assert list(found["classes"]) == list(NAMES[task])
    assert all(tuple(values) == REVIEW_CLASS_METRICS for values in found["classes"].values())
    assert found["folds"]["2"]["auc"]["value"] == review(task).fold_metrics[2]["auc"]


def test_the_json_has_the_rates_of_operating_points():
    review_points = review().operating_points
    point = review_json(review())["operating_points"]["combined"]["highest Youden index"][0]
    assert point["sensitivity"] == point["tp"] / (point["tp"] + point["fn"])
    assert point["threshold"] == review_points.thresholds["highest Youden index"][0]


def test_pooled_folds_have_thresholds_of_their_own_alone():
    points = review_json(review(combination="pooled"))["operating_points"]
    assert points["thresholds"] is None
    assert "threshold" not in points["combined"]["specificity 95%"][0]
    assert points["folds"]["0"]["specificity 95%"][0]["threshold"] > 0


def test_a_missing_interval_has_its_reason_in_the_json_and_no_limits_in_the_csv():
    intervals = replace(review().intervals, metrics={**review().intervals.metrics, "auc": "too few"})
    without = replace(review(), intervals=intervals)
    assert review_json(without)["metrics"]["auc"] == {"value": without.metrics["auc"], "no_interval": "too few"}
    assert f"ensemble,auc,{without.metrics['auc']},,\n" in review_csv(without)
    assert metrics_table(without).rows[5][-1] == "-"
    none = replace(without.intervals, classes={name: ["too few"] * 2 for name in without.intervals.classes})
    assert classes_table(replace(without, intervals=none)).rows[0][2].endswith("\n-")
    assert not any(name.startswith("ensemble_interval/auc") for name in review_values(without))


@pytest.mark.parametrize("task", ["binary", "multi-label"])
def test_the_csv_has_a_row_for_each_metric_and_class(task):
    rows = list(csv.DictReader(io.StringIO(review_csv(review(task)))))
    assert len(rows) == len(metric_names(task)) + len(NAMES[task]) * len(REVIEW_CLASS_METRICS)
    for row in rows:
        if row["of"] == "ensemble":
            assert float(row["value"]) == review(task).metrics[row["metric"]]
        else:
            index = NAMES[task].index(row["of"])
            assert float(row["value"]) == review(task).class_metrics[row["metric"]][index]


def test_any_class_name_survives_csv_and_json():
    hostile = replace(review("multi-class"), class_names=HOSTILE)
    named = {row["of"] for row in csv.DictReader(io.StringIO(review_csv(hostile), newline=""))}
    assert named == {"ensemble", *HOSTILE}
    assert tuple(json.loads(json.dumps(review_json(hostile)))["classes"]) == HOSTILE
    assert [row[0] for row in classes_table(hostile).rows] == list(HOSTILE)


@pytest.mark.parametrize("combination", ["ensemble", "pooled"])
def test_values_for_mlflow_are_named_by_the_combination(combination):
    values = review_values(review(combination=combination))
    assert values[f"{combination}/kappa"] == review(combination=combination).metrics["kappa"]
    assert values[f"{combination}_interval/auc_low"] < values[f"{combination}/auc"]
    assert values["calibrated/ece"] == review(combination=combination).calibration.after["ece"]
    assert ("validation_pooled/auc" in values) == (combination == "ensemble")
    assert all(math.isfinite(value) for value in values.values())


def test_the_main_table_has_mean_and_deviation_of_the_folds():
    row = next(row for row in metrics_table(review()).rows if row[0] == "AUC")
    aucs = [sk.roc_auc_score(part.labels, part.probabilities[:, 1]) for part in review().tested.values()]
    assert row[1] == f"{fmean(aucs):.4f} ± {stdev(aucs):.4f}"
    assert row[2] == f"{review().metrics['auc']:.4f}"


def test_percent_and_fractions_are_shown_as_their_titles_say():
    assert (shown("accuracy", 0.98765), shown("auc", 0.98765)) == ("98.77", "0.9877")
    assert shown_interval("accuracy", Interval(0.5, 1)) == "50.00 to 100.00"
    assert shown_interval("auc", "too few") == "-"
    assert set(metric_names("ordinal")) == set(TITLES)


def test_one_fold_has_no_deviation():
    table = metrics_table(review(num_folds=1))
    assert table.header[1] == "the one fold"
    assert not any("±" in row[1] for row in table.rows)


def test_each_fold_has_a_row():
    assert [row[0] for row in folds_table(review()).rows] == ["fold 0", "fold 1", "fold 2"]


def test_classes_are_counted_and_have_intervals():
    assert class_counts(review("multi-class")) == [20, 20, 20]
    assert class_counts(review("multi-label")) == review("multi-label").combined.labels.sum(axis=0).tolist()
    table = classes_table(review("multi-class"))
    assert [row[1] for row in table.rows] == ["20"] * 3
    value, limits = table.rows[0][2].split("\n")
    interval = review("multi-class").intervals.classes["sensitivity"][0]
    assert (value, limits) == (
        shown("sensitivity", review("multi-class").class_metrics["sensitivity"][0]),
        f"{100 * interval.low:.2f}–{100 * interval.high:.2f}",
    )


def test_operating_points_say_where_their_threshold_is_from():
    assert operating_points_table(review("ordinal")) is None
    table = operating_points_table(review())
    assert [row[0] for row in table.rows] == ["Pneumonia: highest Youden index", "Pneumonia: specificity 95%"]
    assert {row[1] for row in operating_points_table(review(combination="pooled")).rows} == {"of each fold"}
    assert len(operating_points_table(review("multi-label")).rows) == 2 * 3


def test_calibration_is_shown_before_and_after():
    (ece, *_) = calibration_table(review()).rows
    calibration = review().calibration
    assert ece[1:] == [f"{calibration.before['ece']:.4f}", f"{calibration.after['ece']:.4f}"]
