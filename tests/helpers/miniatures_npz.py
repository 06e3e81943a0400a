"""Miniatures of MedMNIST files, and of the official tables that name the source of each image."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.helpers.miniature_files import pixels

_SPLITS = ("train", "val", "test")
_LEAKED_LESIONS = 3
LEAKED = 2 * _LEAKED_LESIONS
"""DermaMNIST: this many training images show a lesion that a test image shows too."""


@dataclass(frozen=True)
class Flag:
    """What the file of a flag looks like.

    Attributes:
        classes: number of classes; of findings for ``multi_label``.
        channels: 1 or 3.
        spatial_dims: 2 or 3.
        multi_label: whether labels are (N, classes) of 0 and 1 instead of (N, 1).
        per_class: images of each class in train, val and test; images in all for ``multi_label``.
    """

    classes: int
    channels: int = 1
    spatial_dims: int = 2
    multi_label: bool = False
    per_class: tuple[int, int, int] = (6, 2, 2)

    def labels(self, split: str) -> np.ndarray:
        """Labels of a split, uint8."""
        count = self.per_class[_SPLITS.index(split)]
        if not self.multi_label:
            return np.tile(np.arange(self.classes, dtype=np.uint8), count)[:, None]
        chance = np.random.default_rng(_SPLITS.index(split)).random((count, self.classes))
        return ((chance < 0.3) & (np.arange(count) % 4 != 3)[:, None]).astype(np.uint8)  # every fourth has none

    def counts(self, part: str) -> np.ndarray:
        """Images of each class in ``training`` (with validation) or ``test``."""
        labels = [self.labels(split) for split in (("test",) if part == "test" else ("train", "val"))]
        if self.multi_label:
            return np.concatenate(labels).sum(axis=0, dtype=int)
        return np.bincount(np.concatenate(labels)[:, 0], minlength=self.classes)


FLAGS: dict[str, Flag] = {
    "pathmnist": Flag(9, channels=3),
    "octmnist": Flag(4),
    "dermamnist": Flag(7, channels=3, per_class=(12, 2, 2)),
    "pneumoniamnist": Flag(2),
    "breastmnist": Flag(2),
    "tissuemnist": Flag(8),
    "bloodmnist": Flag(8, channels=3),
    "organamnist": Flag(11),
    "organcmnist": Flag(11),
    "organsmnist": Flag(11),
    "retinamnist": Flag(5, channels=3),
    "chestmnist": Flag(14, multi_label=True, per_class=(60, 12, 16)),
    "organmnist3d": Flag(11, spatial_dims=3),
    "nodulemnist3d": Flag(2, spatial_dims=3),
    "adrenalmnist3d": Flag(2, spatial_dims=3),
    "fracturemnist3d": Flag(3, spatial_dims=3),
    "vesselmnist3d": Flag(2, spatial_dims=3),
    "synapsemnist3d": Flag(2, spatial_dims=3),
}
MAPPED = ("dermamnist", "chestmnist", "organamnist", "organcmnist", "organsmnist")
_VIEWS = {"organamnist": "axial", "organcmnist": "coronal", "organsmnist": "sagittal"}


def write_npz_miniature(
    flag: str, folder: Path, size: int = 28, mapping: bool = False, compress: bool = True, seed: int = 0
) -> Path:
    """Write ``<flag>.npz``, or ``<flag>_<size>.npz``.

    Args:
        flag: name of the MedMNIST set.
        folder: the dataset folder.
        size: side of the images in pixels or voxels.
        mapping: whether to write ``<flag>.csv`` too, and the metadata of HAM10000 for ``dermamnist``.
        compress: the original files are compressed.
        seed: of the images.

    Returns:
        The file.
    """
    kind, arrays = FLAGS[flag], {}
    for split in _SPLITS:
        labels, shape = kind.labels(split), (size,) * kind.spatial_dims
        keys = [f"{flag} {split} {index}" for index in range(len(labels))]
        arrays[f"{split}_images"] = np.stack([pixels(key, shape, kind.channels, seed) for key in keys])
        arrays[f"{split}_labels"] = labels
    path = folder / (f"{flag}.npz" if size == 28 else f"{flag}_{size}.npz")
    (np.savez_compressed if compress else np.savez)(path, **arrays)
    if mapping:
        _write_mapping(flag, folder)
    return path


def image_ids(flag: str, split: str) -> list[str]:
    """Names of the source images of a split, as the official table gives them."""
    count = len(FLAGS[flag].labels(split))
    offset = {"train": 0, "val": 300, "test": 600}[split]
    if flag == "dermamnist":
        return [f"ISIC_{24306 + offset + index:07d}" for index in range(count)]
    if flag == "chestmnist":  # two X-rays of each patient
        return [f"{13 + offset + index // 2:08d}_{index % 2:03d}.png" for index in range(count)]
    organs = FLAGS[flag].classes  # a scan holds each organ, so the images of a scan have all labels
    source = "test" if split == "test" else "train"
    scan = 100 if split == "val" else 0
    return [
        f"{source}-{scan + index // organs}-{index % organs + 1}-{_VIEWS[flag]}-{20 + index % 9:03d}"
        for index in range(count)
    ]


def group_of(flag: str, split: str, index: int) -> str:
    """The lesion, patient or scan of an image."""
    name = image_ids(flag, split)[index]
    if flag == "chestmnist":
        return name.split("_")[0]
    return "-".join(name.split("-")[:2]) if flag in _VIEWS else _lesion(split, index)


def _lesion(split: str, index: int) -> str:
    """Two images of each lesion, of one class; the first test images show the first lesions of training."""
    classes = FLAGS["dermamnist"].classes
    pair = index // (2 * classes) * classes + index % classes
    if split == "test" and index < _LEAKED_LESIONS:
        return f"HAM_{index:07d}"
    return f"HAM_{ {'train': 0, 'val': 3000, 'test': 6000}[split] + pair:07d}"


def _write_mapping(flag: str, folder: Path) -> None:
    names = {split: image_ids(flag, split) for split in _SPLITS}
    rows = [(split, index, name) for split, listed in names.items() for index, name in enumerate(listed)]
    _write(folder / f"{flag}.csv", ["split", "index", "image_id"], rows)
    if flag == "dermamnist":
        known = ("nv", "histo", "60.0", "male", "back", "vidir_modern")
        lesions = [(_lesion(split, index), name, *known) for split, index, name in reversed(rows)]
        header = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization", "dataset"]
        _write(folder / "HAM10000_metadata.csv", header, lesions)


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])
