"""Cross-validations that fit a probe to frozen features in place of a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medmamba_monai import Bundle
from medmamba_monai.bundle.find_bundle import refuse_probe
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation import CrossValidationOptions, review_again
from medmamba_monai.cross_validation.plan import make_plan
from medmamba_monai.cross_validation.running import open_folds
from medmamba_monai.evaluation import read_result
from medmamba_monai.evaluation.reports.note import NO_EPOCHS
from tests.helpers.small_bundle import SmallBundle

pytestmark = pytest.mark.usefixtures("own_process")


def probe(bundle: SmallBundle, folder: Path, **options: Any) -> Any:
    places = bundle.options(folder, bundle_root=None, run_name="probe", tracking_uri="", epochs=None)
    return Bundle(bundle.root).cross_validate(**places, bootstrap_resamples=100, **options)


@pytest.mark.long
def test_a_linear_probe_of_a_run_is_a_cross_validation(small_bundle, cross_validated, tmp_path):
    found = probe(small_bundle, tmp_path, probe="linear", pretrained=cross_validated / "output", report_images=False)
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
    with pytest.raises(UserError, match=r"its models are probes \(--probe linear\) of frozen features"):
        refuse_probe(folder)
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
        ({"probe": "knn", "pretrained": "y.pt", "epochs": 5}, "--epochs 5: --probe knn trains no network"),
        ({"probe": "tree"}, "--probe 'tree': give linear or knn"),
    ],
)
def test_what_does_not_go_together_is_refused(small_bundle, tmp_path, options, said):
    with pytest.raises(UserError, match=said):
        probe(small_bundle, tmp_path, **options)
    assert not (tmp_path / "output").exists()


@pytest.mark.long
def test_an_encoder_of_transformers_is_probed(small_bundle, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        image_size=16, patch_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.ViTModel(config).save_pretrained(tmp_path / "encoder")
    options = CrossValidationOptions(
        run_name="probe",
        output_dir=str(tmp_path / "output"),
        folds=[0],
        jobs=1,
        recipe="paper",
        config_files=["configs/train.json"],
        evaluate_files=["configs/evaluate.json"],
        probe="knn",
        encoder=str(tmp_path / "encoder"),
        overrides={},
        bootstrap_resamples=100,
        bootstrap_seed=0,
        report_images=None,
    )
    places = small_bundle.options(
        tmp_path, bundle_root=None, output_dir=None, run_name=None, tracking_uri="", epochs=None
    )
    with open_folds(make_plan(small_bundle.root, options, places)) as running:  # a review is made in the test above
        running.start()
        running.run_folds([0])
        running.finish()
    folder = RunFolder(tmp_path / "output")
    assert [folder.fold(fold).result.is_file() for fold in (0, 1)] == [True, False]
    assert json.loads(folder.fold(0).result.read_text())["features"] == 16
    assert json.loads(folder.settings.read_text())["encoder"].startswith("ViTModel sha256:")
    assert str(tmp_path) not in folder.journal.read_text() + folder.fold(0).journal.read_text()
