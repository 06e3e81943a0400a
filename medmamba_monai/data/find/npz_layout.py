"""Samples of a MedMNIST file: three splits in one npz."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from medmamba_monai.cards.card import DatasetCard
from medmamba_monai.cards.layouts import NpzLayout, Split
from medmamba_monai.cards.parts import DataFile
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.download import compute_md5
from medmamba_monai.data.find.found import SHORT, FoundData, NotFoundError
from medmamba_monai.data.find.group_tables import Groups, make_position_key, read_groups
from medmamba_monai.data.samples import Sample
from medmamba_monai.images.npz import read_npz_array

_SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def find_npz(
    card: DatasetCard,
    layout: NpzLayout,
    folder: DatasetFolder,
    source_file: str | None = None,
    allow_checksum_mismatch: bool = False,
) -> FoundData:
    """Find a card's npz file and check its arrays.

    Args:
        card: the dataset.
        layout: its layout.
        folder: where the file is.
        source_file: which of the card's files; by default the one with the largest images that is there.
        allow_checksum_mismatch: whether the file may be another than the published ones, which is then recorded.

    Raises:
        NotFoundError: none of the files is there.
        UserError: the file is damaged or does not fit the card.
    """
    file = choose_file(card, folder, source_file)
    path = folder.find(file.path)
    if not path.exists():
        raise NotFoundError(f"{path}: does not exist. {card.how_to_obtain}")
    print(f"data: {format_path(path)}")
    groups = read_groups(layout.group_table, folder) if layout.group_table else None
    group_of = _make_group_reader(groups, path)
    samples = [sample for split in _SPLITS for sample in _read_samples(card, file, path, split, group_of)]
    mismatch = _compare_checksums(file, path, allow_checksum_mismatch)
    tables = [folder.to_text(table) for table in (groups.files if groups else ())]
    return FoundData(tuple(samples), (file.path, *tables), checksum_mismatch=mismatch)


def _compare_checksums(file: DataFile, path: Path, allow: bool) -> tuple[str, ...]:
    """Return a line where the file is none of those that the card knows, if that is allowed."""
    found = compute_md5(path)
    if file.md5 is None or found in (file.md5, *file.other_md5.values()):
        return ()
    if allow:
        return (f"{file.path}: MD5 is {found}, published is {file.md5}",)
    raise UserError(
        f"{path}: MD5 is {found}, published is {file.md5}: the file is damaged or another version. Move it away and "
        "run the same command again to download it, or pass --allow_checksum_mismatch True to go on with this one and "
        "have it recorded in every run"
    )


def choose_file(card: DatasetCard, folder: DatasetFolder, source_file: str | None) -> DataFile:
    """Return the file asked for, or the one with the largest images that is there, or the card's first."""
    if source_file is not None:
        named = [file for file in card.files if file.path == source_file]
        if not named:
            options = ", ".join(file.path for file in card.files)
            raise UserError(f"source_file: the card of {card.name} lists {options}; found {source_file!r}; choose one")
        return named[0]
    present = [file for file in card.files if folder.find(file.path).exists()]
    return max(present, key=lambda file: file.image_size or 0, default=card.files[0])


def _make_group_reader(groups: Groups | None, path: Path) -> Callable[[str, int], str | None]:
    if groups is None:
        return lambda split, index: None
    by_position, table = groups.by_position(), groups.files[0]

    def group_of(split: str, index: int) -> str:
        if (group := by_position.get(make_position_key(split, index))) is None:
            raise UserError(f"{table}: has no row for {split} {index}, which is in {path}; complete it")
        return group

    return group_of


def _read_samples(
    card: DatasetCard, file: DataFile, path: Path, split: Split, group_of: Callable[[str, int], str | None]
) -> Iterator[Sample]:
    short = SHORT[split]
    key, images = f"{short}_images", read_npz_array(path, f"{short}_images")
    _check_images(card, file, images, f"{path}: {key}")
    labels = _check_labels(card, len(images), read_npz_array(path, f"{short}_labels"), f"{path}: {short}_labels")
    for index, label in enumerate(labels):
        value = int(label) if label.ndim == 0 else tuple(map(int, label))
        yield Sample(f"{short}-{index:05d}", f"{file.path}#{key}[{index}]", value, split, group_of(short, index))


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


def _check_labels(card: DatasetCard, count: int, labels: np.ndarray, where: str) -> np.ndarray:
    several = card.task == "multi-label"
    shapes = ((count, card.num_classes),) if several else ((count, 1), (count,))
    if labels.dtype.kind not in "iu" or labels.shape not in shapes:
        raise UserError(f"{where}: has shape {labels.shape} of {labels.dtype}, expected {shapes[0]} whole numbers")
    labels = labels if several else labels.reshape(-1)
    highest = 1 if several else card.num_classes - 1
    wrong = np.argwhere((labels < 0) | (labels > highest))
    if len(wrong):
        place = tuple(wrong[0])
        raise UserError(
            f"{where}[{', '.join(map(str, place))}]: is {labels[place]}, the card has the labels 0 to {highest}; "
            f"{len(wrong)} labels are out of range: correct the file or the card"
        )
    return labels
