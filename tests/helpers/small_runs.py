"""The folder of a finished cross-validation of untrained networks, of any task, by the real writers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medmamba_monai.cards.card import DatasetCard
from medmamba_monai.core.files import write_json, write_text
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.folds.fold_list import FoldList, Source, build_fold_list
from medmamba_monai.data.folds.make import make_folds
from medmamba_monai.data.samples import Sample
from medmamba_monai.evaluation import Predictions, evaluate_folds, write_predictions
from medmamba_monai.evaluation.results.files import describe_result
from medmamba_monai.networks import build_network
from medmamba_monai.training import save_weights
from tests.helpers.predicted_folds import NAMES
from tests.helpers.small_data import md5, small_card

SIZE = 16
COUNT = 36
NETWORK: dict[str, Any] = {"depths": [1, 1], "channels": [8, 16]}


def write_run(folder: Path, task: str, spatial_dims: int = 2, official_test: bool = True, num_folds: int = 2) -> Path:
    """Write an npz of random images, folds of it and the run; returns the run's folder.

    Args:
        folder: of all.
        task: of the labels; the classes are those of `NAMES`.
        spatial_dims: 2 or 3.
        official_test: whether a third of the images is an official test set; else the folds are tested on themselves.
        num_folds: how many folds.
    """
    names = [{"name": name, "display_name": name} for name in NAMES[task]]
    card = small_card(task=task, classes=names, spatial_dims=spatial_dims, expected_counts={}, image_size=SIZE)
    folds = _write_data(folder, card, official_test, num_folds)
    run = RunFolder(folder / "output")
    predictions = {fold: _write_fold(run.fold(fold), card, folds, fold) for fold in range(num_folds)}
    result = evaluate_folds(predictions, "ensemble" if official_test else "pooled", resamples=100)
    write_json(run.review, describe_result(result))
    write_text(folder / "card.json", card.model_dump_json(exclude_defaults=True))
    data = {"data_list": str(folder / "folds.json"), "dataset_dir": str(folder), "fold_digest": folds.digest}
    write_json(run.description, {"card": str(folder / "card.json"), **data, "num_folds": num_folds, "failures": {}})
    write_json(run.settings, {"batch_size": 8, "amp": False, "overrides": {}})
    return run.path


def _write_data(folder: Path, card: DatasetCard, official_test: bool, num_folds: int) -> FoldList:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (COUNT, *[SIZE] * card.spatial_dims), dtype=np.uint8)
    rows = np.arange(COUNT)
    several = card.task == "multi-label"
    labels = np.stack([rows // 2**n % 2 for n in range(card.num_classes)], 1) if several else rows[:, None] % 2
    if card.num_classes > 2 and not several:
        labels = rows[:, None] % card.num_classes
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "mini.npz", train_images=images, train_labels=labels)
    samples = [
        Sample(
            f"i{row}",
            f"mini.npz#train_images[{row}]",
            tuple(map(int, labels[row])) if several else int(labels[row, 0]),
            None if not official_test else "test" if row >= COUNT * 2 // 3 else "train",
        )
        for row in rows
    ]
    made = make_folds(samples, num_folds, 0, card.class_names)
    source = Source(path="mini.npz", bytes=(folder / "mini.npz").stat().st_size, md5=md5(folder / "mini.npz"))
    folds = build_fold_list(card, samples, made, [source], DatasetFolder(folder), folder / "folds.json")
    folds.write()
    return folds


def _write_fold(run: RunFolder, card: DatasetCard, folds: FoldList, fold: int) -> Predictions:
    torch.manual_seed(fold)
    network = build_network("medmamba", card.spatial_dims, 1, card.num_classes, SIZE, **NETWORK).eval()
    header = {"network_name": "medmamba", "image_size": SIZE, **NETWORK, "class_names": list(card.display_names)}
    header |= {"reading": card.reading_arguments(), "fold_digest": folds.digest, "dataset": card.name, "fold": fold}
    save_weights(network, run.weights, header)
    inputs = {"image": {"num_channels": 1}}
    write_json(run.executed_config, {"_meta_": {"network_data_format": {"inputs": inputs}}})
    parts = {name: folds.parts(fold)[name] for name in ("validation", "test")}
    items = [item for part in parts.values() for item in part]
    stored = np.load(folds.dataset_dir / "mini.npz")["train_images"]
    pixels = np.stack([stored[item["row"]] for item in items])[:, None]
    with torch.inference_mode():
        logits = network(torch.from_numpy(pixels).float() / 255 * 2 - 1)
    chances = logits.sigmoid() if card.activation == "sigmoid" else logits.softmax(1)
    found = Predictions(
        probabilities=chances.double().numpy(),
        labels=np.array([item["label"] for item in items]),
        task=card.task,
        ids=[item["id"] for item in items],
        parts=[name for name, part in parts.items() for _ in part],
        class_names=card.display_names,
    )
    write_predictions(run.predictions, found)
    return found


def change_description(run: Path, **changes: str) -> None:
    """Change what a run says of its data."""
    file = RunFolder(run).description
    write_json(file, {**json.loads(file.read_text(encoding="utf-8")), **changes})
