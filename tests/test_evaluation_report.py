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
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from monai.inferers import SimpleInferer
from monai.transforms import Activationsd
from sklearn.metrics import accuracy_score, roc_auc_score
from small_bundle import SmallBundle

from medmamba_monai.evaluation import METRICS, read_predictions
from medmamba_monai.training import EvaluationReport, InferenceWriter, TrackedRun, evaluation_items

CLASSES = ["cat", "dog"]


def samples(count: int = 11, labeled: bool = True) -> list[dict[str, Any]]:
    vectors = torch.randn(count, 2, generator=torch.Generator().manual_seed(1))
    items = [{"id": f"image-{n}", "image": vector} for n, vector in enumerate(vectors)]
    if labeled:
        items = [{**item, "label": n % 2, "part": "test" if n > 5 else "validation"} for n, item in enumerate(items)]
    return items


def evaluate(data: list[dict[str, Any]], handler: Any) -> None:
    """Run MONAI's evaluator with a network that passes its input on as logits."""
    SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(data, batch_size=4),
        network=torch.nn.Identity(),
        inferer=SimpleInferer(),
        postprocessing=Activationsd("pred", softmax=True),
        val_handlers=[handler],
    ).run()


def report(folder: Path, run: TrackedRun | None = None) -> dict[str, Any]:
    evaluate(samples(), EvaluationReport(folder, CLASSES, "Mini, fold 0", "binary", run))
    return json.loads((folder / "metrics.json").read_text())


def test_predictions_hold_every_sample_bit_for_bit(tmp_path):
    report(tmp_path)
    predictions = read_predictions(tmp_path / "predictions.csv")
    logits = torch.stack([item["image"] for item in samples()])
    assert list(predictions.ids) == [item["id"] for item in samples()]
    assert list(predictions.parts) == ["validation"] * 6 + ["test"] * 5
    assert np.array_equal(predictions.probabilities, torch.softmax(logits, 1).double().numpy())


def test_each_part_has_its_own_metrics(tmp_path):
    metrics = report(tmp_path)
    with (tmp_path / "predictions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "test"]
    labels, predicted = ([int(row[key]) for row in rows] for key in ("label", "predicted"))
    scores = [float(row["probability_1"]) for row in rows]
    assert metrics.keys() == {"validation", "test"}
    assert metrics["test"]["accuracy"] == pytest.approx(accuracy_score(labels, predicted), abs=1e-12)
    assert metrics["test"]["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert set(metrics["test"]) == {*METRICS, "per_class"}


def test_each_part_has_a_confusion_matrix_as_png_and_svg(tmp_path):
    report(tmp_path)
    names = {path.name for path in tmp_path.glob("confusion_matrix_*")}
    assert names == {f"confusion_matrix_{part}.{kind}" for part in ("validation", "test") for kind in ("png", "svg")}


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
    assert {"figures/confusion_matrix_test.png", "figures/confusion_matrix_validation.svg"} <= files


def test_the_run_of_a_training_is_left_to_the_training(tmp_path):
    run = TrackedRun(tmp_path / "run", "", "phantom", "training")
    run.start()
    report(tmp_path / "run", run)
    assert run.journal.status == "RUNNING"


def test_items_of_both_parts_know_which_they_are():
    parts = {"train": [{"id": "a"}], "validation": [{"id": "b"}], "test": [{"id": "c"}, {"id": "d"}]}
    items = evaluation_items(parts)
    assert [(item["id"], item["part"]) for item in items] == [("b", "validation"), ("c", "test"), ("d", "test")]


def test_inference_writes_a_line_for_each_image(tmp_path, capsys):
    evaluate(samples(labeled=False), InferenceWriter(tmp_path / "out" / "predictions.csv", CLASSES))
    with (tmp_path / "out" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [f"image-{n}" for n in range(11)]
    for row, item in zip(rows, samples(), strict=True):
        assert row["predicted"] == CLASSES[int(item["image"].argmax())]
        assert float(row["probability cat"]) + float(row["probability dog"]) == pytest.approx(1, abs=2e-6)
    assert "11 images classified" in capsys.readouterr().out
