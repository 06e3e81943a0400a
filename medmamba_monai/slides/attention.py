"""What the networks of a finished cross-validation looked at in slides and volumes that they never saw."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from tqdm import tqdm

from medmamba_monai.cards import DatasetCard, load_card
from medmamba_monai.core.documents import read_document
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_text
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import FoldList, read_fold_list
from medmamba_monai.evaluation.figures.attention import draw_attention
from medmamba_monai.evaluation.figures.style import format_fraction, save_figure
from medmamba_monai.evaluation.results.comparison import OF_LAYOUTS
from medmamba_monai.networks import AttentionMIL
from medmamba_monai.slides.bundle_features import BundleFeatures
from medmamba_monai.slides.embed import FOLDER
from medmamba_monai.slides.views import view_slide, view_volume
from medmamba_monai.training.weights import load_weights

GIVEN = tuple(OF_LAYOUTS.values())
"""What such runs say that they are given."""


class _Described(BaseModel):
    """Where a cross-validation found its card, its folds and its slides, and what its networks are given."""

    card: Path
    data_list: Path
    dataset_dir: Path
    fold_digest: str
    inputs: str


@dataclass(frozen=True)
class Attention:
    """What a network looked at in a slide.

    Attributes:
        item: of the slide or volume, with ``id``, ``image`` and ``label``.
        corners: (N, 2), column and row of each tile on the finest level; of a volume (N, 3), x, y and z.
        weights: (N,), which sum to 1.
        probabilities: of the classes.
    """

    item: Mapping[str, Any]
    corners: np.ndarray
    weights: np.ndarray
    probabilities: np.ndarray


def show_attention(
    run: str | os.PathLike[str],
    features: str | os.PathLike[str] | None = None,
    dataset_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """Draw the attention over each slide, by a network that was not trained on it, and write it as a table.

    Of a volume the axial plane is drawn through the patch with most attention.

    Args:
        run: folder of a finished cross-validation of slides, or of volumes in patches.
        features: folder of the features that it learnt from; by default that of its bundle.
        dataset_dir: folder of the slides; by default where the run found them.

    Returns:
        ``attention`` in the run's folder: for each slide ``<id>.png``, ``<id>.svg`` and ``<id>.csv``, in which each row
        is a tile with its column and row on the finest level and its weight; of volumes a patch with x, y and z.

    Raises:
        UserError: the run is of neither or has not finished, or its slides or features are not where they were.
    """
    folder = RunFolder(run)
    if not folder.description.is_file():
        raise UserError(f"{run}: holds no finished cross-validation (no {folder.description.name})")
    described = read_document(folder.description, _Described)
    if described.inputs not in GIVEN:
        raise UserError(f"{run}: its networks are given {described.inputs}, and attention is to {' or '.join(GIVEN)}")
    card = load_card(described.card)
    folds = read_fold_list(described.data_list, Path(dataset_dir or described.dataset_dir), name=card.name)
    if folds.digest != described.fold_digest:
        raise UserError(f"{described.data_list}: holds other folds than those of {run}; put its folds back there")
    bundle_features = BundleFeatures(Path(features or described.card.parents[1] / FOLDER), card, folds)
    found = compute_attention(folder, folds, bundle_features)
    for attention in tqdm(found, "attention", folds.num_images, leave=False, unit="slide", disable=None):
        _write(folder.attention, attention, bundle_features, card)
    return folder.attention


def compute_attention(folder: RunFolder, folds: FoldList, features: BundleFeatures) -> Iterator[Attention]:
    """Yield the attention to each slide, by the first fold that it is a test slide of.

    Raises:
        UserError: the weights of a fold are missing, or were trained on other features.
    """
    seen: set[str] = set()
    for fold in folder.find_folds():
        items = [item for item in folds.parts(fold)["test"] if item["id"] not in seen]
        seen |= {item["id"] for item in items}
        network = AttentionMIL(features.width, features.card.num_classes)
        load_weights(network, folder.fold(fold).weights, {"features": features.identity})
        network.eval()
        for item in items:
            yield _attend(network, item, features)


def _attend(network: AttentionMIL, item: Mapping[str, Any], features: BundleFeatures) -> Attention:
    bags = features.read(item["image"])[None]
    with torch.inference_mode():
        logits, weights = network(bags)[0], network.compute_attention(bags)[0]
    answers = logits.softmax(0) if features.card.activation == "softmax" else logits.sigmoid()
    corners = features.store.read_corners(features.find_key(item["image"]))
    return Attention(item, corners, weights.double().numpy(), answers.double().numpy())


def _write(target: Path, attention: Attention, features: BundleFeatures, card: DatasetCard) -> None:
    name = attention.item["id"]
    rows = (
        ",".join([*map(str, corner), f"{weight:.6g}"])
        for corner, weight in zip(attention.corners.tolist(), attention.weights, strict=True)
    )
    columns = "column,row" if card.spatial_dims == 2 else "x,y,z"
    write_text(target / f"{name}.csv", "\n".join([f"{columns},attention", *rows]) + "\n")
    path, view = attention.item["image"], view_slide if card.spatial_dims == 2 else view_volume
    seen = view(path, card, attention.corners, attention.weights)
    title = f"{name}: {_describe(attention, card)}{seen.where}"
    figure = draw_attention(seen.thumbnail, seen.corners, seen.edge, seen.attention, seen.tiles, title)
    save_figure(figure, target / name)


def _describe(attention: Attention, card: DatasetCard) -> str:
    label, names = attention.item["label"], card.display_names
    true = (
        names[label]
        if isinstance(label, int)
        else ", ".join(n for n, there in zip(names, label, strict=True) if there) or "none"
    )
    best = int(attention.probabilities.argmax())
    return f"true {true}, predicted {names[best]} ({format_fraction(float(attention.probabilities[best]))})"
