"""A dataset is one JSON file: a card that nobody has seen becomes a bundle that prepares and trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import monai.bundle
import pytest

from medmamba_monai.bundle import generate_bundle
from medmamba_monai.training.weights import read_description
from tests.helpers.small_images import draw

CARD: dict[str, Any] = {
    "name": "new_scans",
    "title": "New scans",
    "description": "Ordered stages of something, in color.",
    "modality": "photograph",
    "spatial_dims": 2,
    "channels": 3,
    "image_size": 32,
    "task": "ordinal",
    "flips": "horizontal",
    "classes": [
        {"name": "early", "display_name": "Early"},
        {"name": "middle", "display_name": "Middle"},
        {"name": "late", "display_name": "Late"},
    ],
    "layout": {"kind": "folders"},
    "how_to_obtain": "Draw it.",
    "expected_counts": {"all": {"images": 18}},
    "license": {"name": "CC0-1.0"},
    "authors": "nobody",
    "references": [],
}


@pytest.mark.slow
def test_a_new_card_becomes_a_bundle_that_prepares_and_trains(tmp_path: Path, own_process: None) -> None:
    (tmp_path / "card.json").write_text(json.dumps(CARD))
    for number, label in enumerate(("early", "middle", "late")):
        for index in range(6):
            draw(tmp_path / "images" / label / f"{index}.png", 100 * number + index, mode="RGB")
    bundle = tmp_path / "bundle"
    generate_bundle(tmp_path / "card.json", bundle)

    def run(name: str, **options: Any) -> None:
        config = str(bundle / "configs" / f"{name}.json")
        places = {"bundle_root": str(bundle), "dataset_dir": str(tmp_path / "images"), "logging_file": False}
        monai.bundle.run(config_file=config, **places, **options)

    run("data", num_folds=3)
    run("train", epochs=1, depths=[1, 1], channels=[8, 16], batch_size=4, tracking_uri="")
    described = read_description(bundle / "models" / "fold_0" / "model.safetensors")
    assert (described["dataset"], described["image_size"]) == ("new_scans", 32)
    assert described["class_names"] == ["Early", "Middle", "Late"]
