"""The folds together, checked against the CSV files with scikit-learn and NumPy alone."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn import metrics as sk

from medmamba_monai.cards import load_card
from medmamba_monai.cross_validation.record import ResultRecord, read_record
from medmamba_monai.data import prepare_dataset, read_fold_list
from medmamba_monai.evaluation import METRICS, Predictions, write_predictions
from medmamba_monai.evaluation.results.files import name_summary_values
from medmamba_monai.tracking import TrackedRun
from medmamba_monai.tracking.journal_file import read_lines
from tests.helpers.small_bundle import SmallBundle
from tests.helpers.small_data import small_card

FOLDS = (0, 1)


def read(path: Path, part: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Ids, labels and probabilities of one part, read with nothing of the package."""
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == part]
    probabilities = np.array([[float(row["probability_0"]), float(row["probability_1"])] for row in rows])
    return [row["id"] for row in rows], np.array([int(row["label"]) for row in rows]), probabilities


def six_metrics(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """The paper's metrics, from scikit-learn; macro specificity of two classes is their mean sensitivity."""
    predicted = probabilities.argmax(axis=1)
    sensitivity = sk.recall_score(labels, predicted, average="macro")
    return {
        "accuracy": sk.accuracy_score(labels, predicted),
        "precision": sk.precision_score(labels, predicted, average="macro", zero_division=0),
        "sensitivity": sensitivity,
        "specificity": sensitivity,
        "f1": sk.f1_score(labels, predicted, average="macro"),
        "auc": sk.roc_auc_score(labels, probabilities[:, 1]),
    }


def logged(cross_validated: Path) -> dict[str, float]:
    state = json.loads((cross_validated / "output" / "mlflow.json").read_text())
    return MlflowClient(f"sqlite:///{cross_validated}/mlruns.db").get_run(state["run_id"]).data.metrics


def folds_of(cross_validated: Path, part: str) -> list[tuple[list[str], np.ndarray, np.ndarray]]:
    return [read(cross_validated / "output" / f"fold_{fold}" / "predictions.csv", part) for fold in FOLDS]


@pytest.mark.slow
def test_the_ensemble_is_the_mean_of_the_folds_probabilities(cross_validated):
    (ids, labels, first), (other_ids, _, second) = folds_of(cross_validated, "test")
    assert ids == other_ids
    expected = six_metrics(labels, (first + second) / 2)
    found = logged(cross_validated)
    assert {name: found[f"ensemble/{name}"] for name in METRICS} == pytest.approx(expected, abs=1e-12)
    _, _, written = read(cross_validated / "output" / "ensemble_predictions.csv", "test")
    assert np.abs(written - (first + second) / 2).max() < 1e-15


@pytest.mark.slow
@pytest.mark.parametrize(("part", "prefix"), [("test", "test"), ("validation", "validation_best")])
def test_mean_and_deviation_are_those_of_the_folds(cross_validated, part, prefix):
    folds = [six_metrics(labels, probabilities) for _, labels, probabilities in folds_of(cross_validated, part)]
    found = logged(cross_validated)
    for name in METRICS:
        values = [fold[name] for fold in folds]
        assert found[f"{prefix}/{name}_mean"] == pytest.approx(np.mean(values), abs=1e-12)
        assert found[f"{prefix}/{name}_std"] == pytest.approx(np.std(values, ddof=1), abs=1e-12)


@pytest.mark.slow
def test_every_image_is_validated_once_and_tested_by_each_fold(cross_validated, small_bundle: SmallBundle):
    folds = json.loads(small_bundle.data_list.read_text())
    validated = Counter(name for ids, _, _ in folds_of(cross_validated, "validation") for name in ids)
    tested = Counter(name for ids, _, _ in folds_of(cross_validated, "test") for name in ids)
    assert validated == Counter(item["id"] for item in folds["training"])
    assert tested == Counter([item["id"] for item in folds["test"]] * len(FOLDS))


@pytest.mark.slow
def test_the_terminal_shows_the_figures_that_are_logged(cross_validated):
    printed, found = (cross_validated / "output.txt").read_text(), logged(cross_validated)
    row = next(line.split() for line in printed.splitlines() if line.startswith("ensemble"))
    assert row[1:] == [
        *(f"{100 * found[f'ensemble/{name}']:.2f}" for name in METRICS[:-1]),
        f"{found['ensemble/auc']:.4f}",
    ]


def pooled(small_bundle: SmallBundle, folder: Path, finished: tuple[int, ...]) -> ResultRecord:
    """A dataset without a test split, whose folds' predictions are drawn at random."""
    card = load_card(small_bundle.root / "configs" / "card.json")
    card = card.model_copy(update={"layout": card.layout.model_copy(update={"split_folders": {}})})
    images = small_bundle.dataset_dir / "train"
    fold_list = prepare_dataset(card, images, folder / "folds.json", num_folds=2, allow_count_mismatch=True)
    generator = np.random.default_rng(0)
    for fold in finished:
        items = [(part, item) for part in ("validation", "test") for item in fold_list.parts(fold)[part]]
        scores = generator.random(len(items))
        predictions = Predictions(
            np.stack([1 - scores, scores], axis=1),
            np.array([item["label"] for _, item in items]),
            "binary",
            ids=[item["id"] for _, item in items],
            parts=[part for part, _ in items],
        )
        output = folder / f"fold_{fold}"
        write_predictions(output / "predictions.csv", predictions)
        selected = {part: predictions.select(part) for part in ("validation", "test")}
        metrics = {part: six_metrics(chosen.labels, chosen.probabilities) for part, chosen in selected.items()}
        (output / "result.json").write_text(json.dumps({"fold": fold, "metrics": metrics}))
    read = read_fold_list(folder / "folds.json", images)
    return read_record(folder, card, read, {fold: "killed" for fold in FOLDS if fold not in finished})


def test_without_a_test_set_the_test_parts_are_pooled(small_bundle, tmp_path):
    record = pooled(small_bundle, tmp_path, FOLDS)
    record.write()
    ids, labels, probabilities = read(tmp_path / "pooled_predictions.csv", "test")
    assert len(set(ids)) == len(ids) == 40
    found = name_summary_values(record.result)
    assert {name: found[f"pooled/{name}"] for name in METRICS} == pytest.approx(six_metrics(labels, probabilities))
    with (tmp_path / "summary_classes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["Normal (line)", "Nodule (blob)"]
    assert float(rows[1]["auc_pooled"]) == pytest.approx(found["pooled/auc"])


def test_a_fold_that_did_not_finish_is_named(small_bundle, tmp_path):
    record = pooled(small_bundle, tmp_path, (1,))
    assert name_summary_values(record.result)["folds_finished"] == 1
    assert "1 of 2 folds" in record.text
    assert "fold 0 (killed)" in record.text


def test_no_finished_fold_makes_no_figures(small_bundle, tmp_path):
    record = pooled(small_bundle, tmp_path, ())
    record.write()
    assert name_summary_values(record.result) == {"folds_finished": 0.0}
    assert not (tmp_path / "pooled_predictions.csv").exists()


FINDINGS = ["Effusion", "Pleural thickening", "Hernia"]


def several_labels(folder: Path) -> tuple[ResultRecord, list[Predictions]]:
    """Two folds of a task with three labels, tested on the same thirty images."""
    classes = [{"name": name.lower(), "display_name": name} for name in FINDINGS]
    card = small_card(task="multi-label", classes=classes, expected_counts={})
    generator = np.random.default_rng(0)
    labels = (generator.random((60, 3)) < 0.4).astype(int)
    parts = ["validation"] * 30 + ["test"] * 30
    tested = []
    for fold in FOLDS:
        ids = [f"image-{n}" for n in range(60)]
        predictions = Predictions(generator.random((60, 3)), labels, "multi-label", ids=ids, parts=parts)
        write_predictions(folder / f"fold_{fold}" / "predictions.csv", predictions)
        metrics = {part: dict.fromkeys(METRICS, 0.5) for part in ("validation", "test")}
        (folder / f"fold_{fold}" / "result.json").write_text(json.dumps({"fold": fold, "metrics": metrics}))
        tested.append(predictions.select("test"))
    folds = SimpleNamespace(
        protocol="official-test", has_test_set=True, num_folds=2, training=[0] * 30, test=[0] * 30, digest="0"
    )
    return read_record(folder, card, folds, {}), tested  # type: ignore[arg-type]


def test_the_auc_of_each_label_over_the_folds_and_of_the_ensemble(tmp_path):
    record, tested = several_labels(tmp_path)
    record.write()
    with (tmp_path / "summary_labels.csv").open() as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    found = name_summary_values(record.result)
    for index, (name, key) in enumerate(zip(FINDINGS, ("effusion", "pleural_thickening", "hernia"), strict=True)):
        truth = tested[0].labels[:, index]
        scores = [fold.probabilities[:, index] for fold in tested]
        aucs = [sk.roc_auc_score(truth, score) for score in scores]
        expected = (np.mean(aucs), np.std(aucs, ddof=1), sk.roc_auc_score(truth, np.mean(scores, axis=0)))
        logged = [found[name] for name in (f"test_auc/{key}_mean", f"test_auc/{key}_std", f"ensemble_auc/{key}")]
        assert logged == pytest.approx(expected, abs=1e-12)
        assert [float(rows[name][f"auc_{kind}"]) for kind in ("mean", "std", "ensemble")] == logged
        assert f"| {name} | {truth.sum()} |" in (tmp_path / "summary.md").read_text()


def test_the_labels_table_and_figure_are_logged(tmp_path):
    record, _ = several_labels(tmp_path)
    run = TrackedRun(tmp_path, "", "chest", "several")
    run.start()
    record.write()
    record.log(run, "title", "command", {})
    logged = {line["path"] for line in read_lines(tmp_path / "tracking.jsonl") if line["op"] == "artifact"}
    assert {"summary_labels.csv", "labels_ensemble.png", "labels_ensemble.svg", "summary.md"} <= logged
    assert all((tmp_path / name).is_file() for name in logged)
