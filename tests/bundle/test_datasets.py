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

from medmamba_monai.cards import DatasetCard, load_card
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


def group_by_kind() -> dict[tuple[object, ...], list[str]]:
    """Bundles whose data are alike but for what they show; the configs are the same bytes in all."""
    kinds: dict[tuple[object, ...], list[str]] = {}
    for name in BUNDLES:
        card = load_card(ROOT / "bundles" / name / "configs" / "card.json")
        kind = (type(card.layout), card.spatial_dims, card.task, card.channels)
        kinds.setdefault(kind, []).append(name)
    return kinds


KINDS = group_by_kind()
FIRST = sorted(names[0] for names in KINDS.values())
IN_PARTS = {"adrenalmnist3d", "octmnist"}
"""Bundles of a kind of their own that shares each of its properties with another one."""


class Miniature:
    """A bundle's dataset in small, and where what is made of it goes."""

    def __init__(self, name: str, folder: Path) -> None:
        self.bundle, self.data, self.folds = ROOT / "bundles" / name, folder / "data", folder / "folds.json"
        self.where = {"dataset_dir": str(self.data), "data_list": str(self.folds)}
        output = {"output_dir": str(folder / "output"), "ckpt_dir": str(folder / "weights"), "tracking_uri": ""}
        self.options = {**ARCHITECTURE, **self.where, **output, "batch_size": 16}
        write_miniature(name, self.data)
        self.card = write_card(miniature_card(name), folder / "card.json")

    def prepare_and_train(self) -> None:
        told = {"card_file": str(self.card), "num_folds": 3, "allow_count_mismatch": True, "download": False}
        run(self.bundle, "prepare", ["data"], **told, **self.where)
        run(self.bundle, "training", ["train"], epochs=1, **self.options)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(name for names in KINDS.values() for name in names[1:]))
def test_prepare_and_training_run(name, tmp_path, own_process, monkeypatch):
    monkeypatch.setenv("MEDMAMBA_CACHE_DIR", str(tmp_path / "cache"))
    Miniature(name, tmp_path).prepare_and_train()
    assert (tmp_path / "weights" / "model.pt").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in IN_PARTS else []) for name in FIRST]
)
def test_prepare_training_evaluating_and_inference_run(name, tmp_path, own_process, monkeypatch):
    monkeypatch.setenv("MEDMAMBA_CACHE_DIR", str(tmp_path / "cache"))
    made = Miniature(name, tmp_path)
    made.prepare_and_train()
    run(made.bundle, "evaluating", ["train", "evaluate"], **made.options)
    metrics = json.loads((tmp_path / "output" / "metrics.json").read_text())
    assert 0 <= metrics["test"]["auc"] <= 1
    write_some_images(made.folds, made.data, tmp_path / "images")
    where = {"dataset_dir": str(tmp_path / "images"), "output_dir": str(tmp_path / "eval")}
    weights = str(tmp_path / "weights" / "model.pt")
    run(made.bundle, "inference", ["inference"], ckpt_path=weights, **ARCHITECTURE, **where)
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
