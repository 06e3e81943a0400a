from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine

from medmamba_monai.evaluation import ConformalPredictor, Predictions, write_predictions
from medmamba_monai.evaluation.csv_text import parse_csv
from medmamba_monai.training import InferenceWriter
from tests.helpers.predicted_folds import NAMES, predicted_folds
from tests.helpers.small_evaluation import CLASSES, SEVERAL, evaluate, samples, several_labels


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_inference_writes_a_line_for_each_image(tmp_path, capsys):
    evaluate(samples(labeled=False), InferenceWriter(tmp_path / "out" / "predictions.csv", CLASSES))
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert [row["id"] for row in rows] == [f"image-{n}" for n in range(11)]
    for row, item in zip(rows, samples(), strict=True):
        assert row["predicted"] == CLASSES[int(item["image"].argmax())]
        assert float(row["probability cat"]) + float(row["probability dog"]) == pytest.approx(1, abs=2e-6)
    assert "11 images classified" in capsys.readouterr().out


def test_inference_names_the_labels_above_one_half(tmp_path):
    evaluate(several_labels(), InferenceWriter(tmp_path / "predictions.csv", SEVERAL, "multi-label"), "sigmoid")
    predicted = [row["predicted"] for row in rows_of(tmp_path / "predictions.csv")]
    above = [item["image"] > 0 for item in several_labels()]
    assert predicted == ["; ".join(name for name, found in zip(SEVERAL, row, strict=True) if found) for row in above]
    assert "" in predicted
    assert any("; " in names for names in predicted)


def test_only_the_key_beside_the_predictions_names_files(tmp_path, capsys):
    evaluate(samples(labeled=False), InferenceWriter(tmp_path / "predictions.csv", CLASSES))
    assert "Doe" not in (tmp_path / "predictions.csv").read_text()
    rows = rows_of(tmp_path / "files.csv")
    assert [(row["id"], row["file"]) for row in rows] == [(f"image-{n}", f"Doe, Jane/{n}.png") for n in range(11)]
    assert f"{tmp_path / 'files.csv'}: keep that one to yourself" in capsys.readouterr().out


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_name_that_is_no_text_does_no_harm(tmp_path, workers):
    odd = os.fsdecode(b"M\xfcller\n.png")
    data = [{**item, "file": odd} for item in samples(2, labeled=False)]
    evaluate(data, InferenceWriter(tmp_path / "predictions.csv", CLASSES), workers=workers)
    assert [row["file"] for row in rows_of(tmp_path / "files.csv")] == ["M\\udcfcller\n.png"] * 2


def test_no_spreadsheet_runs_a_name_of_a_class_or_a_file(tmp_path):
    names = ["=1+1", "@dog"]
    evaluate(samples(2, labeled=False), InferenceWriter(tmp_path / "predictions.csv", names))
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(stream)
    assert {line.split(",")[1] for line in lines[1:]} <= {"'=1+1", "'@dog"}
    assert {row[1] for row in parse_csv(lines[1:])} <= set(names)


def write_validation(folder: Path, task: str, count: int) -> tuple[list[Path], dict[int, Predictions]]:
    """Weights without content, beside them the predictions that a cross-validation leaves."""
    folds = predicted_folds(task, num_folds=count)
    for fold, part in folds.items():
        (folder / f"fold_{fold}").mkdir()
        write_predictions(folder / f"fold_{fold}" / "predictions.csv", part)
    return [folder / f"fold_{fold}" / "model.pt" for fold in folds], folds


def infer_images(writer: InferenceWriter, probabilities: np.ndarray) -> list[dict[str, str]]:
    """Write what networks say (B, networks, C), as an evaluator hands it over."""
    outputs = [
        {f"pred_{n}": torch.tensor(one) for n, one in enumerate(row)} | {"pred": torch.tensor(row.mean(axis=0))}
        for row in probabilities
    ]
    batch = [{"id": f"i{n}", "file": f"{n}.png"} for n in range(len(outputs))]
    engine = Engine(lambda *_: None)
    engine.state.batch, engine.state.output = batch, outputs
    writer.begin(engine)
    writer.collect(engine)
    writer.write(engine)
    return rows_of(writer.path)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("task", ["binary", "ordinal", "multi-label"])
def test_weights_of_a_cross_validation_give_sets_doubt_and_reasons(tmp_path, task, count):
    weights, folds = write_validation(tmp_path, task, count)
    tested = np.stack([part.select("test").probabilities for part in folds.values()], axis=1)
    rows = infer_images(InferenceWriter(tmp_path / "out.csv", NAMES[task], task, weights), tested)
    parts = {fold: part.select("validation") for fold, part in folds.items()}
    mean = tested.mean(axis=1)
    for label, name in enumerate(NAMES[task]):
        np.testing.assert_allclose([float(row[f"probability {name}"]) for row in rows], mean[:, label], atol=1e-6)
    assert {"doubt", "reason"} <= rows[0].keys()
    assert any(row["reason"] for row in rows)
    if task == "multi-label":
        assert "set 0.9" not in rows[0]
    else:
        probabilities = {fold: tested[:, fold] for fold in folds}
        sets = ConformalPredictor.fit(parts, "LAC").predict_sets(probabilities, 0.9)
        named = ["; ".join(name for name, held in zip(NAMES[task], row, strict=True) if held) for row in sets]
        assert [row["set 0.9"] for row in rows] == named


@pytest.mark.parametrize(
    ("averaged", "removed", "reason"),
    [(True, None, "were not averaged over views"), (False, 1, "fold_1/predictions.csv beside them")],
)
def test_what_cannot_be_said_is_left_out_and_said(tmp_path, capsys, averaged, removed, reason):
    weights, folds = write_validation(tmp_path, "binary", 2)
    if removed is not None:
        (weights[removed].parent / "predictions.csv").unlink()
    tested = np.stack([part.select("test").probabilities for part in folds.values()], axis=1)
    rows = infer_images(InferenceWriter(tmp_path / "out.csv", NAMES["binary"], "binary", weights, averaged), tested)
    assert list(rows[0]) == ["id", "predicted", "probability Normal", "probability Pneumonia"]
    assert f"Set, doubt and reason are left out: {'validation' if averaged else 'weights'}" in (
        out := capsys.readouterr().out
    )
    assert reason in out
