"""A folder of 20 slides to the AUC of five folds with one card, by the commands that a user types."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import read_fold_list
from medmamba_monai.data.phantom_slides import GROUP_PATTERN, LESIONS, draw_phantom_slide, write_phantom_slides
from medmamba_monai.evaluation import read_result
from medmamba_monai.networks import MedMamba
from medmamba_monai.training import save_weights
from tests.helpers.small_bundle import run_command

VARIABLE = "MEDMAMBA_TEST_SLIDES"
TILE = 64

pytestmark = pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason=f"{VARIABLE} is not set: five folds of slides take minutes on two cores"
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_slides_become_an_auc_of_095_and_attention_to_the_lesions(tmp_path):
    write_phantom_slides(tmp_path / "data", 20, edge=512)
    card = ("--microns-per-pixel", "0.5", "--image-size", str(TILE), "--group-pattern", GROUP_PATTERN)
    _run(tmp_path, "new-bundle", "biopsies", "--images", "data", *card, "--classes", "normal", "--classes", "lesion")
    _run(tmp_path, "prepare", "biopsies", "--dataset-dir", "data")
    encoder = str(train_encoder(tmp_path))
    _run(tmp_path, "embed", "biopsies", "--dataset-dir", "data", "--pretrained", encoder, "--device", "cpu")
    options = ("--epochs", "30", "--patience", "0", "--bootstrap-resamples", "200", "--run-name", "first")
    _run(tmp_path, "cross-validate", "biopsies", "--dataset-dir", "data", *options)
    run = RunFolder(tmp_path / "bundles" / "biopsies" / "output" / "first")
    assert read_result(run).metrics["auc"] >= 0.95
    _run(tmp_path, "attention", str(run.path), "--dataset-dir", "data")
    # of ten; a tile drawn by chance reaches into the lesion in one of ten slides, five hits have a probability of 0.2 %
    assert _count_hits(tmp_path, run) >= 5


def train_encoder(folder: Path) -> Path:
    """Train a small MedMamba to tell tiles of lesions from others, of slides that are not among the twenty."""
    tiles, labels = draw_tiles(np.random.default_rng(1))
    torch.manual_seed(0)
    network = MedMamba(2, 3, 2, depths=(1, 1), channels=(16, 32))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003)
    for _ in range(60):
        chosen = torch.randint(len(tiles), (32,))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(tiles[chosen]), labels[chosen]).backward()
        optimizer.step()
    return save_weights(network, folder / "encoder.pt", {"network_name": "medmamba"})


def draw_tiles(generator: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw tiles (N, 3, TILE, TILE) from -1 to 1, half of them of the middle of a lesion, and which are."""
    tiles: list[np.ndarray] = []
    for number in range(192):
        if number % 24 == 0:
            picture, (column, row, _) = draw_phantom_slide(1, 512, generator)
        away = generator.uniform(0, 20) if number % 2 == 0 else generator.uniform(100, 140)
        turn = generator.uniform(0, 2 * np.pi)
        left, top = (
            int(np.clip(place - TILE / 2, 0, 512 - TILE))
            for place in (column + away * np.cos(turn), row + away * np.sin(turn))
        )
        tiles.append(picture[top : top + TILE, left : left + TILE])
    images = torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return images, 1 - torch.arange(192) % 2


def _run(folder: Path, *arguments: str) -> None:
    code, printed = run_command([sys.executable, "-m", "medmamba_monai", *arguments], folder)
    assert code == 0, printed


def _count_hits(folder: Path, run: RunFolder) -> int:
    """Count the slides of which the tile with most attention reaches into the lesion."""
    lesions = json.loads((folder / "data" / LESIONS).read_text())
    folds = read_fold_list(folder / "data_lists" / "biopsies" / "folds.json", folder / "data")
    names = {item["id"]: Path(item["image"]).name for part in folds.parts(0).values() for item in part}
    hits = 0
    for name, file in names.items():
        if file in lesions:
            rows = np.loadtxt(run.attention / f"{name}.csv", delimiter=",", skiprows=1)
            corner, (column, row, radius) = rows[rows[:, 2].argmax(), :2], lesions[file]
            hits += bool(np.hypot(*(corner + TILE / 2 - (column, row))) < radius + TILE / 2)
    return hits
