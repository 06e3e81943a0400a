"""The catalogue is the one place where a metric is defined: a row that is added is seen everywhere."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from mlflow.utils.validation import _validate_metric_name

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation import CATALOGUE, METRICS, Model, Scores, compare, compute_metrics, evaluate_folds
from medmamba_monai.evaluation.metrics.catalogue import (
    CLASS_METRICS,
    ClassMetric,
    Metric,
    find_metric,
    list_class_metrics,
    list_metrics,
)
from medmamba_monai.evaluation.metrics.weighted import WeightedScores, class_sensitivity, class_specificity
from medmamba_monai.evaluation.reports.comparison_tables import make_models_table
from medmamba_monai.evaluation.reports.files import write_result
from medmamba_monai.evaluation.reports.result_tables import make_metrics_table
from medmamba_monai.evaluation.results.files import name_all_values
from medmamba_monai.evaluation.scores import TASKS
from medmamba_monai.evaluation.statistics.resampling import Interval
from tests.helpers.predicted_folds import NAMES, predicted_folds


def informedness_of_classes(scores: Scores) -> list[float]:
    """Sensitivity + specificity - 1 of each class."""
    told, true = scores.predicted_indicators == 1, scores.indicators == 1
    return [float(c[t].mean() + (~c[~t]).mean() - 1) for c, t in zip(told.T, true.T, strict=True)]


def weighted_informedness_of_classes(weighted: WeightedScores) -> np.ndarray:
    return class_sensitivity(weighted) + class_specificity(weighted) - 1


ROW = Metric(
    name="informedness",
    label="informedness",
    compute=lambda scores: float(np.mean(informedness_of_classes(scores))),
    weighted=lambda weighted: weighted_informedness_of_classes(weighted).mean(axis=0),
    of_class=ClassMetric(informedness_of_classes, weighted_informedness_of_classes),
    in_percent=True,
    tasks=("binary", "multi-class"),
)


@pytest.fixture
def _with_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOGUE, ROW.name, ROW)


@pytest.mark.usefixtures("_with_row")
def test_a_row_that_is_added_is_seen_in_everything_that_a_result_leaves(tmp_path: Path) -> None:
    result = evaluate_folds(predicted_folds("binary"), resamples=300)
    sensitivities = result.class_metrics["sensitivity"]
    expected = sum(sensitivities) - 1  # of two classes, each one's specificity is the other's sensitivity
    assert result.metrics["informedness"] == pytest.approx(expected, abs=1e-12)
    interval = result.intervals.metrics["informedness"]
    assert isinstance(interval, Interval)
    assert interval.low < expected < interval.high

    row = make_metrics_table(result).rows[-1]
    assert row[0] == "informedness (%)"
    assert row[2:] == [f"{100 * expected:.2f}", f"{100 * interval.low:.2f} to {100 * interval.high:.2f}"]

    values = name_all_values(result)
    assert values["ensemble/informedness"] == result.metrics["informedness"]
    assert values["ensemble_interval/informedness_low"] == interval.low
    assert values["validation_pooled/informedness"] <= 1

    content, table = write_result(result, RunFolder(tmp_path))
    saved = json.loads(content.read_text())
    assert saved["metrics"]["informedness"]["high"] == interval.high
    assert saved["classes"]["Pneumonia"]["informedness"]["value"] == result.class_metrics["informedness"][1]
    assert saved["folds"]["2"]["informedness"]["value"] == result.fold_metrics[2]["informedness"]
    rows = [line for line in csv.DictReader(io.StringIO(table.read_text())) if line["metric"] == "informedness"]
    assert [line["of"] for line in rows] == ["ensemble", *NAMES["binary"]]


@pytest.mark.usefixtures("_with_row")
def test_a_row_that_is_added_is_compared(tmp_path: Path) -> None:
    models = [Model(name, [predicted_folds("binary", skill=skill)]) for name, skill in (("a", 1.0), ("b", 2.0))]
    comparison = compare(models, resamples=100)
    assert comparison.pairs[0].differences.metrics["informedness"].value == pytest.approx(
        comparison.metrics["a"]["informedness"] - comparison.metrics["b"]["informedness"], abs=1e-11
    )
    assert make_models_table(comparison).rows[-1][0] == "informedness (%)"


@pytest.mark.usefixtures("_with_row")
def test_a_row_is_of_the_tasks_that_it_names() -> None:
    assert "informedness" in list_metrics("multi-class")
    assert "informedness" not in compute_metrics(predicted_folds("ordinal")[0].select("test"))
    with pytest.raises(UserError, match="ordinal task has no metric 'informedness': choose one of accuracy, "):
        find_metric("informedness", "ordinal")


def test_the_six_metrics_of_the_paper_are_in_its_order() -> None:
    assert METRICS == ("accuracy", "precision", "sensitivity", "specificity", "f1", "auc")
    assert METRICS[1:] == CLASS_METRICS


def test_every_name_is_one_that_files_and_mlflow_take() -> None:
    for name, metric in CATALOGUE.items():
        assert name == metric.name
        assert re.fullmatch("[a-z0-9_]+", name)
        _validate_metric_name(f"ensemble_interval/{name}_low")


@pytest.mark.parametrize("task", TASKS)
def test_every_metric_gives_a_number_exact_and_weighted(task: str) -> None:
    result = evaluate_folds(predicted_folds(task), resamples=100)
    assert tuple(result.metrics) == list_metrics(task)
    assert tuple(result.class_metrics) == tuple(result.intervals.classes) == list_class_metrics(task)


def test_a_metric_without_an_interval_says_why() -> None:
    result = evaluate_folds(predicted_folds("binary", images=600, skill=3.0), resamples=1000)
    assert result.intervals.metrics["ece"] == CATALOGUE["ece"].without_interval
    assert "resampling inflates it" in CATALOGUE["ece"].without_interval
