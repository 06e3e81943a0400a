"""Cross-validations that fit a probe to frozen features in place of a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medmamba_monai import Bundle
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation import review_again
from medmamba_monai.evaluation import read_result
from medmamba_monai.evaluation.reports.note import NO_EPOCHS
from tests.helpers.small_bundle import SmallBundle

pytestmark = pytest.mark.usefixtures("own_process")


def probe(bundle: SmallBundle, folder: Path, **options: Any) -> Any:
    places = bundle.options(folder, bundle_root=None, run_name="probe", tracking_uri="", epochs=None)
    return Bundle(bundle.root).cross_validate(**places, bootstrap_resamples=100, **options)


def test_a_linear_probe_of_a_run_is_a_cross_validation(small_bundle, cross_validated, tmp_path):
    found = probe(small_bundle, tmp_path, probe="linear", pretrained=cross_validated / "output")
    folder, trained = RunFolder(tmp_path / "output"), read_result(cross_validated / "output")
    read = read_result(folder)
    assert read.combination == trained.combination == "ensemble"
    for fold in (0, 1):
        assert read.folds[fold].ids == trained.folds[fold].ids
        np.testing.assert_array_equal(read.folds[fold].labels, trained.folds[fold].labels)
        assert json.loads(folder.fold(fold).result.read_text())["features"] == 16
    assert found.metrics["auc"] == pytest.approx(read.metrics["auc"])
    assert not np.allclose(read.folds[0].probabilities, trained.folds[0].probabilities)
    assert "linear probe on frozen MedMamba" in folder.report.read_text()
    assert NO_EPOCHS in folder.report.read_text()
    assert NO_EPOCHS in folder.journal.read_text()
    assert review_again(folder.path, resamples=100).is_file()
    assert str(tmp_path) not in folder.fold(0).journal.read_text()
    with pytest.raises(UserError, match="holds a cross-validation with probe 'linear', but 'knn'"):
        probe(small_bundle, tmp_path, probe="knn", pretrained=cross_validated / "output")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"probe": "linear"}, "add --pretrained or --encoder"),
        ({"encoder": "x"}, "add --probe linear"),
        ({"probe": "knn", "pretrained": "y.pt"}, r"y\.pt: does not exist"),
        ({"probe": "knn", "encoder": "x", "pretrained": "y.pt"}, "both make features; give one of them"),
        (
            {"probe": "knn", "pretrained": "y.pt", "recipe": "film"},
            "--recipe film: .*image and records.* medmamba-monai fuse",
        ),
        ({"probe": "tree"}, "--probe 'tree': give linear or knn"),
    ],
)
def test_what_does_not_go_together_is_refused(small_bundle, tmp_path, options, said):
    with pytest.raises(UserError, match=said):
        probe(small_bundle, tmp_path, **options)
    assert not (tmp_path / "output").exists()


def test_an_encoder_of_transformers_is_probed(small_bundle, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        image_size=16, patch_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.ViTModel(config).save_pretrained(tmp_path / "encoder")
    found = probe(small_bundle, tmp_path, probe="knn", encoder=tmp_path / "encoder", folds=[0])
    assert sorted(found.folds) == [0]
    settings = json.loads(RunFolder(tmp_path / "output").settings.read_text())
    assert settings["encoder"].startswith("ViTModel sha256:")
    assert str(tmp_path) not in (tmp_path / "output" / "tracking.jsonl").read_text()
