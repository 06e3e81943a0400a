"""The classes one by one, against scikit-learn and NumPy."""

from __future__ import annotations

import csv
import doctest
import io
from collections.abc import Sequence

import numpy as np
import pytest
from mlflow.utils.validation import _validate_metric_name
from sklearn.metrics import confusion_matrix, precision_score, recall_score, roc_auc_score

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.csv_text import parse_csv
from medmamba_monai.evaluation.metrics.catalogue import CLASS_METRICS
from medmamba_monai.evaluation.predictions import Predictions, ensemble
from medmamba_monai.evaluation.reports.class_tables import format_classes_csv, format_classes_markdown
from medmamba_monai.evaluation.results import classes

NAMES = ["Effusion", "Mass | nodule", "Hernia"]
LABELS = (np.random.default_rng(0).random((40, 3)) < 0.4).astype(int)


def draw(seed: int, labels: np.ndarray = LABELS, names: Sequence[str] = NAMES) -> Predictions:
    scores = np.random.default_rng(seed).random((40, 3))
    if labels.ndim == 1:
        scores /= scores.sum(axis=1, keepdims=True)
    task = "multi-label" if labels.ndim == 2 else "multi-class"
    ids = [f"test-{n}" for n in range(40)]
    return Predictions(scores, labels, task, ids=ids, parts=["test"] * 40, class_names=names)


def summary(folds: int = 3, labels: np.ndarray = LABELS) -> tuple[list[Predictions], classes.ClassSummary]:
    members = [draw(seed, labels) for seed in range(1, folds + 1)]
    return members, classes.summarize_classes(members, ensemble(members))


def test_a_report_names_every_label_and_agrees_with_scikit_learn() -> None:
    predictions = draw(1)
    report = classes.describe_classes(predictions)
    assert list(report) == NAMES
    for index, found in enumerate(report.values()):
        truth, scores = LABELS[:, index], predictions.probabilities[:, index]
        assert found["auc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
        assert found["precision"] == pytest.approx(precision_score(truth, scores > 0.5), abs=1e-12)
        assert [found[name] for name in ("tn", "fp", "fn", "tp")] == confusion_matrix(
            truth, scores > 0.5
        ).ravel().tolist()


def test_a_report_of_one_label_each_counts_a_class_against_the_rest() -> None:
    predictions = draw(1, np.arange(40) % 3)
    report = classes.describe_classes(predictions)
    assert [found["tp"] + found["fn"] for found in report.values()] == [14, 13, 13]
    assert sum(found["tp"] for found in report.values()) == (predictions.predicted == predictions.labels).sum()


@pytest.mark.parametrize("names", [NAMES[:2], ["Hernia", "Mass", "Hernia"]])
def test_names_that_do_not_tell_the_classes_apart_are_refused(names: list[str]) -> None:
    with pytest.raises(UserError, match="3 classes need as many different names"):
        draw(1, LABELS, names)


def test_means_and_deviations_are_those_of_the_folds() -> None:
    members, found = summary()
    aucs = [[roc_auc_score(LABELS[:, c], member.probabilities[:, c]) for c in range(3)] for member in members]
    sensitivities = [recall_score(LABELS, member.predicted, average=None) for member in members]
    assert found.mean("auc") == pytest.approx(np.mean(aucs, axis=0), abs=1e-12)
    assert found.standard_deviation("auc") == pytest.approx(np.std(aucs, axis=0, ddof=1), abs=1e-12)
    assert found.mean("sensitivity") == pytest.approx(np.mean(sensitivities, axis=0), abs=1e-12)
    assert found.images == LABELS.sum(axis=0).tolist()


def test_csv_keeps_every_digit() -> None:
    _, found = summary()
    rows = list(csv.DictReader(io.StringIO(format_classes_csv(found))))
    assert [row["label"] for row in rows] == NAMES
    for metric in CLASS_METRICS:
        assert [float(row[f"{metric}_mean"]) for row in rows] == found.mean(metric).tolist()
        assert [float(row[f"{metric}_ensemble"]) for row in rows] == found.combined[metric]


def test_no_spreadsheet_runs_a_name_of_a_class() -> None:
    names = ["=cmd|' /C calc'!A0", "+1+1", "-healthy"]
    members = [draw(1, LABELS, names)]
    lines = format_classes_csv(classes.summarize_classes(members, ensemble(members))).splitlines(keepends=True)
    assert [line.split(",")[0] for line in lines[1:]] == [f"'{name}" for name in names]
    assert [row[0] for row in parse_csv(lines)][1:] == names


def test_markdown_shows_the_spread_and_survives_a_bar_in_a_name() -> None:
    _, found = summary()
    header, _, first, second, *_ = format_classes_markdown(found).splitlines()
    assert header.startswith("| label | images | precision |")
    assert f"{found.mean('auc')[0]:.4f} ± {found.standard_deviation('auc')[0]:.4f}" in first
    assert second.startswith(r"| Mass \| nodule |")
    assert second.count("|") - 1 == first.count("|") == len(CLASS_METRICS) + 4


def test_a_single_fold_has_no_spread() -> None:
    _, found = summary(1, np.arange(40) % 3)
    text, rows = format_classes_markdown(found), list(csv.DictReader(io.StringIO(format_classes_csv(found))))
    assert "±" not in text
    assert "of one fold" in text
    assert [row["auc_std"] for row in rows] == [""] * 3
    assert next(iter(rows[0])) == "class"


def test_the_auc_of_each_label_has_a_name_of_its_own_in_mlflow() -> None:
    _, found = summary()
    metrics = classes.name_class_aucs(found)
    assert metrics["test_auc/mass_nodule_mean"] == found.mean("auc")[1]
    assert metrics["ensemble_auc/hernia"] == found.combined["auc"][2]
    assert len(metrics) == 9


@pytest.mark.parametrize("name", ["Ödem / 50 %", "肺炎", "../..", "", "a" * 500, "file\udcff.png", "$x$\n"])
def test_any_name_becomes_a_key_that_mlflow_takes(name: str) -> None:
    first, second = classes.make_metric_keys([name, name])
    assert first != second
    for key in (first, second):
        _validate_metric_name(f"ensemble_auc/{key}")


def test_examples_are_true() -> None:
    assert doctest.testmod(classes) == (0, 1)


def test_keys_of_names_that_look_alike_are_all_different():
    assert len(set(classes.make_metric_keys(["x 2", "x", "X", "x!"]))) == 4
