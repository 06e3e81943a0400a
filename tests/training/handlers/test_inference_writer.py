from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from medmamba_monai.evaluation.csv_text import parse_csv
from medmamba_monai.training import InferenceWriter
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
