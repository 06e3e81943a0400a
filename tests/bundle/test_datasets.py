"""Every committed bundle on a miniature of its dataset, by the commands that its README names."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import monai.bundle
import nibabel
import numpy as np
import pytest
from PIL import Image

from medmamba_monai.cards import DatasetCard
from medmamba_monai.core.documents import text_to_path
from medmamba_monai.images.npz import NpzReference
from tests.helpers.miniatures import miniature_card, write_miniature
from tests.helpers.small_bundle import ROOT

BUNDLES = sorted(path.name for path in (ROOT / "bundles").iterdir() if path.name != "phantom")
"""``phantom`` is generated and has tests of its own."""

ARCHITECTURE = {"image_size": 32, "depths": [1, 1], "channels": [8, 16]}


def run(bundle: Path, run_id: str, configs: list[str], **options: Any) -> None:
    files = [str(bundle / "configs" / f"{name}.json") for name in configs]
    monai.bundle.run(run_id, config_file=files, bundle_root=str(bundle), logging_file=False, **options)


def write_card(card: DatasetCard, path: Path) -> Path:
    path.write_text(card.model_dump_json(by_alias=True, exclude_unset=True))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", BUNDLES)
def test_prepare_training_evaluating_and_inference_run(name, tmp_path, own_process, monkeypatch):
    monkeypatch.setenv("MEDMAMBA_CACHE_DIR", str(tmp_path / "cache"))
    bundle, data, folds = ROOT / "bundles" / name, tmp_path / "data", tmp_path / "folds.json"
    write_miniature(name, data)
    card = write_card(miniature_card(name), tmp_path / "card.json")
    where = {"dataset_dir": str(data), "data_list": str(folds)}
    run(
        bundle,
        "prepare",
        ["data"],
        card_file=str(card),
        num_folds=3,
        allow_count_mismatch=True,
        download=False,
        **where,
    )
    output = {"output_dir": str(tmp_path / "output"), "ckpt_dir": str(tmp_path / "weights"), "tracking_uri": ""}
    options = {**ARCHITECTURE, **where, **output, "batch_size": 16}
    run(bundle, "training", ["train"], epochs=1, **options)
    run(bundle, "evaluating", ["train", "evaluate"], **options)
    metrics = json.loads((tmp_path / "output" / "metrics.json").read_text())
    assert 0 <= metrics["test"]["auc"] <= 1
    write_some_images(folds, data, tmp_path / "images")
    where = {"dataset_dir": str(tmp_path / "images"), "output_dir": str(tmp_path / "eval")}
    run(bundle, "inference", ["inference"], ckpt_path=str(tmp_path / "weights" / "model.pt"), **ARCHITECTURE, **where)
    with (tmp_path / "eval" / "predictions.csv").open() as stream:
        assert [row["id"] for row in csv.DictReader(stream)] == ["image-00000", "image-00001", "image-00002"]


def write_some_images(folds: Path, data: Path, folder: Path) -> None:
    """Three images of the dataset as files: those of an npz as PNG, its volumes as NIfTI."""
    folder.mkdir()
    for number, item in enumerate(json.loads(folds.read_text())["training"][:3]):
        reference = NpzReference.parse(item["image"])
        if reference is None:
            source = data / text_to_path(item["image"])
            shutil.copy(source, folder / f"{number}{source.suffix}")
            continue
        pixels = np.load(data / reference.file)[reference.key][reference.index]
        if pixels.ndim == 3 and pixels.shape[-1] > 3:
            nibabel.save(nibabel.Nifti1Image(pixels, np.eye(4)), folder / f"{number}.nii.gz")
        else:
            Image.fromarray(pixels).save(folder / f"{number}.png")
