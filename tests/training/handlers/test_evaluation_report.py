from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, roc_auc_score

from medmamba_monai.evaluation import METRICS, read_predictions
from medmamba_monai.tracking import TrackedRun
from medmamba_monai.tracking.journal_file import read_lines
from medmamba_monai.training import EvaluationReport, select_evaluation_items
from tests.helpers.small_bundle import SmallBundle
from tests.helpers.small_evaluation import CLASSES, SEVERAL, evaluate, samples, several_labels


def report(folder: Path, run: TrackedRun | None = None) -> dict[str, Any]:
    evaluate(samples(), EvaluationReport(folder, CLASSES, "Mini, fold 0", "binary", run))
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an evaluation of two classes."""
    folder = tmp_path_factory.mktemp("two_classes")
    report(folder)
    return folder


@pytest.fixture(scope="module")
def reported_several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an evaluation of several labels."""
    folder = tmp_path_factory.mktemp("several_labels")
    report_several(folder)
    return folder


def metrics_in(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())


def test_predictions_hold_every_sample_bit_for_bit(reported):
    predictions = read_predictions(reported / "predictions.csv", "binary")
    logits = torch.stack([item["image"] for item in samples()])
    assert list(predictions.ids) == [item["id"] for item in samples()]
    assert list(predictions.parts) == ["validation"] * 6 + ["test"] * 5
    assert np.array_equal(predictions.probabilities, torch.softmax(logits, 1).double().numpy())


def test_each_part_has_its_own_metrics(reported):
    metrics = metrics_in(reported)
    with (reported / "predictions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "test"]
    labels, predicted = ([int(row[key]) for row in rows] for key in ("label", "predicted"))
    scores = [float(row["probability_1"]) for row in rows]
    assert metrics.keys() == {"validation", "test"}
    assert metrics["test"]["accuracy"] == pytest.approx(accuracy_score(labels, predicted), abs=1e-12)
    assert metrics["test"]["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert metrics["test"]["kappa"] == pytest.approx(cohen_kappa_score(labels, predicted), abs=1e-12)
    assert set(metrics["test"]) == {*METRICS, "kappa", "per_class"}
    assert [found["tp"] + found["fn"] for found in metrics["test"]["per_class"].values()] == [3, 2]


def report_several(folder: Path, run: TrackedRun | None = None) -> dict[str, Any]:
    evaluate(several_labels(), EvaluationReport(folder, SEVERAL, "Chest, fold 0", "multi-label", run), "sigmoid")
    return json.loads((folder / "metrics.json").read_text())


def test_several_labels_have_an_auc_and_counts_each_by_its_name(reported_several):
    metrics = metrics_in(reported_several)["test"]
    test = several_labels()[6:]
    labels, scores = np.stack([item["label"] for item in test]), torch.stack([item["image"] for item in test]).numpy()
    assert list(metrics["per_class"]) == SEVERAL
    for index, found in enumerate(metrics["per_class"].values()):
        assert found["auc"] == pytest.approx(roc_auc_score(labels[:, index], scores[:, index]), abs=1e-12)
        counts = confusion_matrix(labels[:, index], scores[:, index] > 0).ravel().tolist()
        assert [found[name] for name in ("tn", "fp", "fn", "tp")] == counts
    assert metrics["auc"] == pytest.approx(roc_auc_score(labels, scores, average="macro"), abs=1e-12)
    assert metrics["accuracy"] == pytest.approx(((scores > 0) == labels).mean(), abs=1e-12)


def figures(*kinds: str) -> set[str]:
    return {f"{kind}_{part}.{end}" for kind in kinds for part in ("validation", "test") for end in ("png", "svg")}


def test_each_part_has_its_figures_as_png_and_svg(reported):
    found = {path.name for path in reported.iterdir() if path.suffix in (".png", ".svg")}
    assert found == figures("confusion_matrix", "roc", "precision_recall")


def test_the_curves_are_those_of_the_part(reported):
    for part, values in metrics_in(reported).items():
        drawn = (reported / f"roc_{part}.svg").read_text()
        assert f"{values['auc']:.3f}  {part}" in drawn
        assert f"Mini, fold 0, {part}" in drawn


def test_groups_are_kept_with_the_predictions(tmp_path):
    data = [{**item, "group": f"group-{n // 2}"} for n, item in enumerate(samples())]
    evaluate(data, EvaluationReport(tmp_path, CLASSES, "Mini", "binary"))
    assert read_predictions(tmp_path / "predictions.csv", "binary").groups == tuple(
        f"group-{n // 2}" for n in range(11)
    )


def test_without_groups_there_is_no_column_for_them(reported):
    assert read_predictions(reported / "predictions.csv", "binary").groups is None


def test_several_labels_have_a_figure_of_their_own_and_predictions_of_all(reported_several):
    found = {path.name for path in reported_several.iterdir() if path.suffix in (".png", ".svg")}
    assert found == figures("labels", "roc", "precision_recall")
    predictions = read_predictions(reported_several / "predictions.csv", "multi-label")
    assert np.array_equal(predictions.labels, np.stack([item["label"] for item in several_labels()]))


def test_the_auc_of_each_label_is_a_group_in_mlflow(tmp_path):
    run = TrackedRun(tmp_path, "", "chest", "evaluation")
    metrics = report_several(tmp_path, run)
    logged: dict[str, float] = {}
    for line in read_lines(tmp_path / "tracking.jsonl"):
        logged |= line["values"] if line["op"] == "metrics" else {}
    assert logged["test_auc/pleural_thickening"] == metrics["test"]["per_class"]["Pleural thickening"]["auc"]
    assert {"validation_best_auc/hernia", "test/auc"} <= logged.keys()


def test_grades_have_a_weighted_kappa(tmp_path):
    grades = [{**item, "label": n % 3} for n, item in enumerate(several_labels())]
    evaluate(grades, EvaluationReport(tmp_path, ["0", "1", "2"], "Retina", "ordinal"))
    found = json.loads((tmp_path / "metrics.json").read_text())["validation"]["kappa"]
    predicted = [int(item["image"].argmax()) for item in grades[:6]]
    assert found == pytest.approx(cohen_kappa_score([0, 1, 2, 0, 1, 2], predicted, weights="quadratic"), abs=1e-12)


def test_a_run_of_its_own_begins_and_ends_with_the_evaluation(tmp_path, small_bundle: SmallBundle):
    shutil.copy(small_bundle.store, tmp_path / "mlruns.db")
    uri = f"sqlite:///{tmp_path}/mlruns.db"
    run = TrackedRun(tmp_path / "run", uri, "phantom", "evaluation")
    metrics = report(tmp_path / "run", run)
    logged = MlflowClient(uri).get_run(run.run_id)
    assert logged.info.status == "FINISHED"
    assert logged.data.metrics["test/auc"] == metrics["test"]["auc"]
    assert logged.data.metrics["validation_best/f1"] == metrics["validation"]["f1"]
    files = {file.path for file in MlflowClient(uri).list_artifacts(run.run_id, "figures")}
    assert files == {f"figures/{name}" for name in figures("confusion_matrix", "roc", "precision_recall")}


def test_the_run_of_a_training_is_left_to_the_training(tmp_path):
    run = TrackedRun(tmp_path / "run", "", "phantom", "training")
    run.start()
    report(tmp_path / "run", run)
    assert run.journal.status == "RUNNING"


def test_items_of_both_parts_know_which_they_are():
    parts = {"train": [{"id": "a"}], "validation": [{"id": "b"}], "test": [{"id": "c"}, {"id": "d"}]}
    items = select_evaluation_items(parts)
    assert [(item["id"], item["part"]) for item in items] == [("b", "validation"), ("c", "test"), ("d", "test")]
