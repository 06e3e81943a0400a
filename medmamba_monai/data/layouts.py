"""Where the samples of a dataset are: one function per layout of a card, files in, samples out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medmamba_monai.data.cards import DataFile, DatasetCard, FoldersLayout, Split
from medmamba_monai.data.documents import inside, is_hidden
from medmamba_monai.data.download import check_md5, download
from medmamba_monai.data.folds import Sample
from medmamba_monai.data.npz import npz_array
from medmamba_monai.errors import UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".dcm", ".nii", ".gz")

_SHORT: dict[Split | None, str] = {"train": "train", "validation": "val", "test": "test", None: "image"}


@dataclass(frozen=True)
class FoundData:
    """What a dataset folder holds.

    Attributes:
        samples: every image, in a stable order.
        files: the files that the samples come from, relative to the dataset folder.
        ignored: files among them that are no images.
    """

    samples: tuple[Sample, ...]
    files: tuple[str, ...]
    ignored: tuple[str, ...] = ()


def find_data(
    card: DatasetCard,
    dataset_dir: Path,
    source_file: str | None = None,
    fetch: bool = True,
) -> FoundData:
    """Find the data of a card below a folder, or download them where the card has a link; print which are used.

    Args:
        card: the dataset.
        dataset_dir: where to look.
        source_file: which of the card's files to use; by default the one with the largest images that is there.
        fetch: whether to download a missing file.

    Raises:
        UserError: nothing is there, or what is there is damaged or does not fit the card.
    """
    if card.task == "multi-label":
        raise UserError(f"{card.name}: several labels for one image are not supported yet")
    if card.layout.kind == "folders":
        return _folder_data(card, card.layout, dataset_dir)
    file = _choose_file(card, dataset_dir, source_file)
    path = inside(dataset_dir, file.path)
    if not path.exists():
        _fetch(card, file, path, fetch)
    print(f"data: {path}")
    samples = _npz_samples(card, file, path)
    check_md5(path, file.md5)
    return FoundData(samples, (file.path,))


def _choose_file(card: DatasetCard, dataset_dir: Path, source_file: str | None) -> DataFile:
    if source_file is not None:
        named = [file for file in card.files if file.path == source_file]
        if not named:
            listed = ", ".join(file.path for file in card.files)
            raise UserError(f"source_file: the card of {card.name} lists {listed}; found {source_file!r}; choose one")
        return named[0]
    present = [file for file in card.files if inside(dataset_dir, file.path).exists()]
    return max(present, key=lambda file: file.image_size or 0, default=card.files[0])


def _fetch(card: DatasetCard, file: DataFile, path: Path, fetch: bool) -> None:
    if not fetch or file.url is None:
        raise UserError(f"{path}: does not exist. {card.how_to_obtain}")
    size = f" ({file.bytes / 1e6:.1f} MB)" if file.bytes else ""
    print(f"{path} is not there: downloading {file.url}{size}")
    download(file.url, path, file.md5)


def _npz_samples(card: DatasetCard, file: DataFile, path: Path) -> tuple[Sample, ...]:
    samples: list[Sample] = []
    splits: tuple[Split, ...] = ("train", "validation", "test")
    for split in splits:
        key, images = f"{_SHORT[split]}_images", npz_array(path, f"{_SHORT[split]}_images")
        _check_images(card, file, images, f"{path}: {key}")
        labels = _check_labels(card, len(images), npz_array(path, f"{_SHORT[split]}_labels"), path, _SHORT[split])
        samples += [
            Sample(f"{_SHORT[split]}-{index:05d}", f"{file.path}#{key}[{index}]", int(label), split)
            for index, label in enumerate(labels)
        ]
    return tuple(samples)


def _check_images(card: DatasetCard, file: DataFile, images: np.ndarray, where: str) -> None:
    gray, color = card.spatial_dims + 1, images.ndim == card.spatial_dims + 2 and images.shape[-1:] == (3,)
    if not images.size:
        raise UserError(f"{where}: holds no images")
    if images.dtype != np.uint8 or not (images.ndim == gray or color):
        raise UserError(
            f"{where}: has shape {images.shape} of {images.dtype}, expected uint8 of {gray} dimensions "
            f"(images first) or one more for RGB; this is not the file the card of {card.name} describes"
        )
    size = images.shape[1 : card.spatial_dims + 1]
    if file.image_size is not None and set(size) != {file.image_size}:
        raise UserError(f"{where}: images are {size}, the card says {file.image_size}; correct the one that is wrong")


def _check_labels(card: DatasetCard, count: int, labels: np.ndarray, path: Path, short: str) -> np.ndarray:
    where = f"{path}: {short}_labels"
    if labels.dtype.kind not in "iu" or labels.shape not in ((count, 1), (count,)):
        raise UserError(f"{where}: has shape {labels.shape} of {labels.dtype}, expected ({count}, 1) whole numbers")
    flat = labels.reshape(-1)
    wrong = np.flatnonzero((flat < 0) | (flat >= card.num_classes))
    if len(wrong):
        raise UserError(
            f"{where}[{wrong[0]}]: is {flat[wrong[0]]}, the card has the labels 0 to {card.num_classes - 1}; "
            f"{len(wrong)} labels are out of range: correct the file or the card"
        )
    return flat


def _folder_data(card: DatasetCard, layout: FoldersLayout, dataset_dir: Path) -> FoundData:
    samples: list[Sample] = []
    ignored: list[str] = []
    splits: list[tuple[Split | None, str]] = [*layout.split_folders.items()] or [(None, ".")]
    for split, folder in splits:
        images, others = _class_folders(card, dataset_dir, folder)
        ignored += others
        samples += [
            Sample(f"{_SHORT[split]}-{index:05d}", image, label, split) for index, (image, label) in enumerate(images)
        ]
    return FoundData(tuple(samples), tuple(sample.image for sample in samples), tuple(ignored))


def _class_folders(card: DatasetCard, dataset_dir: Path, folder: str) -> tuple[list[tuple[str, int]], list[str]]:
    root = inside(dataset_dir, folder)
    if not root.is_dir():
        raise UserError(f"{root}: does not exist. {card.how_to_obtain}")
    names = {entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    if names != set(card.class_names):
        raise UserError(
            f"{root}: has the folders {_listed(sorted(names))}, the card has the classes {_listed(card.class_names)}; "
            "rename, move or add what differs"
        )
    files = sorted(path.relative_to(dataset_dir).as_posix() for path in root.rglob("*") if path.is_file())
    images = [file for file in files if _is_image(file)]
    if not images:
        raise UserError(f"{root}: holds no images. {card.how_to_obtain}")
    labelled = [(file, _label(card, inside(dataset_dir, file), root)) for file in images]
    return labelled, [file for file in files if not _is_image(file)]


def _is_image(file: str) -> bool:
    return file.lower().endswith(IMAGE_SUFFIXES) and not is_hidden(Path(file))


def _label(card: DatasetCard, path: Path, root: Path) -> int:
    folder = path.relative_to(root).parts[0]
    if folder not in card.class_names:
        raise UserError(f"{path}: is in no class folder; move it into {_listed(card.class_names)} or away")
    return card.class_names.index(folder)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names) or "none"
