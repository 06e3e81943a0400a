"""Sites for `benchmarks.federation`: the phantom, or PneumoniaMNIST divided between them, with shifted intensities."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medmamba_monai.bundle import generate_bundle
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.data import prepare_dataset
from medmamba_monai.federation import write_phantom_sites
from medmamba_monai.federation.phantom_sites import CARD, shift_intensities
from medmamba_monai.images.npz import read_npz_array

ROOT = Path(__file__).resolve().parents[1]
CARDS = ROOT / "data_lists"
PHANTOM, PNEUMONIA = "phantom", "pneumoniamnist"
DATASETS = (PHANTOM, PNEUMONIA)
CONTRAST = (0.6, 0.9)
"""Of what tells the classes of the phantom apart: clear enough to be learnt from some hundred images."""
RARE = 5
"""Images of the rare class that the last site has to learn from: one for each fold."""


def write_sites(folder: Path, data: str, number: int, images: int, size: int, dataset_dir: Path | None) -> Path:
    """Write the sites of a dataset; returns the file of the card that their bundles are made of.

    Args:
        folder: to make.
        data: one of `DATASETS`.
        number: of sites.
        images: of the phantom the training images of a site before nodules are left out; of PneumoniaMNIST the training
            images of all sites together.
        size: side of the phantom's images.
        dataset_dir: folder of ``pneumoniamnist.npz``.

    Raises:
        UserError: the file is not there, or a folder cannot be written.
    """
    if data == PHANTOM:
        write_phantom_sites(folder, number, images, images // 2, size, contrast=CONTRAST)
        return CARDS / PHANTOM / "card.json"
    if dataset_dir is None or not (dataset_dir / "pneumoniamnist.npz").is_file():
        raise UserError("--data pneumoniamnist: name the folder of pneumoniamnist.npz with --dataset-dir")
    return write_pneumonia_sites(folder, dataset_dir / "pneumoniamnist.npz", number, images)


def write_pneumonia_sites(folder: Path, file: Path, number: int, images: int) -> Path:
    """Divide PneumoniaMNIST between sites of unlike size, the last of which has nearly no normal image to learn from.

    Each further site sees its images darker and with less contrast. The official test images are divided evenly, in
    the same proportion of the classes everywhere. Returns the file of the card.

    Args:
        folder: to make.
        file: the npz file.
        number: of sites.
        images: training images of all sites together.
    """
    folder.mkdir(parents=True)
    card = json.loads((CARDS / PNEUMONIA / "card.json").read_text(encoding="utf-8"))
    classes = [entry["name"] for entry in card["classes"]]
    parts = {"train": ("train", "val"), "test": ("test",)}
    pools = {
        part: [np.concatenate([read_npz_array(file, f"{name}_{kind}") for name in names]) for kind in _KINDS]
        for part, names in parts.items()
    }
    counts = {"train": count_images(number, images), "test": _divide_evenly(pools["test"][1], number)}
    left = {key: value for key, value in card.items() if key not in ("$schema", "files")}
    layout = json.loads((CARDS / PHANTOM / "card.json").read_text(encoding="utf-8"))["layout"]
    expected = {part: _describe_counts(np.sum(of_part, axis=0), classes) for part, of_part in counts.items()}
    write_json(folder / "made" / "card.json", {**left, "layout": layout, "expected_counts": expected})
    generator = np.random.default_rng(0)
    for part, (pixels, labels) in pools.items():
        for label, name in enumerate(classes):
            places = generator.permutation(np.flatnonzero(labels.ravel() == label))
            ends = np.cumsum([by_class[label] for by_class in counts[part]])
            for site, chosen in enumerate(np.split(places[: ends[-1]], ends[:-1])):
                _write_images(folder / f"site_{site + 1}" / "images" / part / name, pixels, chosen, site)
    for site in range(number):
        prepare_site(folder, f"site_{site + 1}", folder / "made" / "card.json")
    return folder / "made" / "card.json"


_KINDS = ("images", "labels")
_NORMAL = 0.26
"""Share of normal images among the training images of the archive."""


def count_images(number: int, images: int) -> list[tuple[int, int]]:
    """Return how many normal and how many other training images each site has: the first the most, the last `RARE`.

    Example:
        >>> count_images(3, 1200)
        [(156, 444), (104, 296), (5, 195)]
    """
    shares = np.arange(number, 0, -1) / (number * (number + 1) / 2)
    sizes = [round(float(share) * images) for share in shares]
    normal = [round(_NORMAL * size) for size in sizes[:-1]] + [RARE]
    return [(few, size - few) for few, size in zip(normal, sizes, strict=True)]


def _divide_evenly(labels: np.ndarray, number: int) -> list[tuple[int, int]]:
    total = np.bincount(labels.ravel(), minlength=2) // number
    return [(int(total[0]), int(total[1]))] * number


def _describe_counts(total: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    by_class = {name: int(number) for name, number in zip(classes, total, strict=True)}
    return {"images": sum(by_class.values()), "classes": by_class}


def _write_images(folder: Path, pixels: np.ndarray, chosen: np.ndarray, site: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for place in chosen:
        Image.fromarray(shift_intensities(pixels[place], site)).save(folder / f"{place:05d}.png")


def pool_images(folder: Path, sites: Sequence[str], card: Path) -> None:
    """Make a site of the images of all sites, named after them."""
    pooled = folder / "pooled"
    for site in sites:
        for path in (folder / site / "images").rglob("*.png"):
            target = pooled / "images" / path.relative_to(folder / site / "images").with_name(f"{site}_{path.name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    prepare_site(folder, "pooled", card)


def prepare_site(folder: Path, site: str, card: Path) -> None:
    """Make bundle, folds and file of a site whose images are there."""
    place = folder / site
    generate_bundle(card, place / "bundle")
    prepare_dataset(place / "bundle" / CARD, place / "images", place / "folds.json", allow_count_mismatch=True)
    places = {"bundle": "bundle", "dataset_dir": "images", "data_list": "folds.json"}
    write_json(folder / f"{site}.json", {key: f"{site}/{name}" for key, name in places.items()})
