"""Samples of a dataset with one folder per class, wherever an archive puts those folders."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from medmamba_monai.cards.card import DatasetCard
from medmamba_monai.cards.layouts import FoldersLayout, Split
from medmamba_monai.core.documents import is_hidden
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.core.spelling import comparable, is_nobody
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.found import (
    FoundData,
    FoundImage,
    NotFoundError,
    collect_files,
    number_samples,
    quote_names,
)
from medmamba_monai.data.find.group_tables import read_groups
from medmamba_monai.data.find.image_files import ImageFile
from medmamba_monai.images.dicom.tags import read_group
from medmamba_monai.images.formats import is_image_file
from medmamba_monai.images.slides.open import is_slide_file

_MAX_DEPTH = 5


@dataclass(frozen=True)
class _Placed:
    image: ImageFile
    folder: Path
    label: int
    split: Split | None


def find_folders(card: DatasetCard, layout: FoldersLayout, dataset: DatasetFolder) -> FoundData:
    """Find the class folders of a card in or below a folder; case, blanks, ``_`` and ``-`` in names do not count.

    Args:
        card: the dataset.
        layout: its layout.
        dataset: where to look.

    Raises:
        NotFoundError: there are no such folders.
        UserError: several places have them, one of them does not fit the card, or an image has no group.
    """
    placed: list[_Placed] = []
    ignored: list[str] = []
    for split, root in _find_split_roots(card, layout, dataset):
        for label, folder in _find_class_folders(card, root):
            listing = dataset.list_images(
                folder, card.spatial_dims, card.reading.frame == "all", slides=card.tiling is not None
            )
            if not listing.images:
                raise NotFoundError(f"{folder}: holds no images. {card.how_to_obtain}")
            _check_no_slices(folder, listing.images, dataset)
            ignored += listing.others
            placed += [_Placed(image, folder, label, split) for image in listing.images]
        ignored += _list_strays(root, dataset, is_image_file if card.tiling is None else is_slide_file)
    groups, tables = _find_groups(layout, placed, dataset)
    images = [FoundImage(p.image.text, p.image.files, p.label, p.split, groups[p.image.text]) for p in placed]
    images.sort(key=lambda image: (image.split or "", image.text))
    return FoundData(number_samples(images), (*collect_files(images), *tables), tuple(ignored))


def _find_split_roots(
    card: DatasetCard, layout: FoldersLayout, dataset: DatasetFolder
) -> list[tuple[Split | None, Path]]:
    if not layout.split_folders:
        return [(None, _find_root(card, dataset.root, [label.name for label in card.classes], card.label_of))]
    first = [folder.split("/")[0] for folder in layout.split_folders.values()]
    known = {comparable(name): index for index, name in enumerate(dict.fromkeys(first))}
    root = _find_root(card, dataset.root, list(dict.fromkeys(first)), lambda name: known.get(comparable(name)))
    order: tuple[Split, ...] = ("train", "validation", "test")
    return [
        (s, _find_split_folder(DatasetFolder(root, dataset.allow_links), layout.split_folders[s]))
        for s in order
        if s in layout.split_folders
    ]


def _find_split_folder(root: DatasetFolder, relative: str) -> Path:
    path = root.root
    for part in relative.split("/"):
        names = [entry.name for entry in path.iterdir() if comparable(entry.name) == comparable(part)]
        path = path / (names[0] if names else part)
    if not path.is_dir():
        raise NotFoundError(f"{path}: does not exist, but the card has a split in it")
    return root.find(root.to_text(path))


def _find_root(card: DatasetCard, dataset_dir: Path, wanted: list[str], known: Callable[[str], int | None]) -> Path:
    """Return the one folder below that has a folder for each wanted name."""
    if not dataset_dir.is_dir():
        raise NotFoundError(f"{dataset_dir}: does not exist. {card.how_to_obtain}")
    folders = dict(_walk_folders(dataset_dir))
    found = {folder: len({known(name) for name in names} - {None}) for folder, names in folders.items()}
    complete = [folder for folder, count in found.items() if count == len(wanted)]
    if len(complete) > 1:
        raise UserError(
            f"{complete[0]} and {complete[1]} both have the folders {quote_names(wanted)}: pass one of them as "
            "--dataset_dir"
        )
    if complete:
        return complete[0]
    best = max(found, key=lambda folder: found[folder])
    kind = NotFoundError if found[best] == 0 else UserError
    raise kind(
        f"{best}: has the folders {quote_names(folders[best])}, the card has {quote_names(wanted)}; "
        f"rename, move or add what differs. {card.how_to_obtain}"
    )


def _walk_folders(dataset_dir: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield the folders and the names of the folders in them, not too deep and never hidden."""
    for parent, names, _ in os.walk(dataset_dir, followlinks=True):
        names[:] = sorted(name for name in names if not is_hidden(PurePosixPath(name)))
        yield Path(parent), list(names)
        if len(Path(parent).relative_to(dataset_dir).parts) >= _MAX_DEPTH:
            names.clear()


def _find_class_folders(card: DatasetCard, root: Path) -> list[tuple[int, Path]]:
    """Return the folders of a root with their labels; a folder of images that is no class is an error."""
    folders = sorted(entry for entry in root.iterdir() if entry.is_dir() and not is_hidden(PurePosixPath(entry.name)))
    labelled = [(card.label_of(folder.name), folder) for folder in folders]
    labels = [label for label, _ in labelled if label is not None]
    unknown = [folder for label, folder in labelled if label is None]
    inside, slides = DatasetFolder(root, allow_links=True), card.tiling is not None
    holding = [folder.name for folder in unknown if inside.list_images(folder, slides=slides).images]
    absent = sorted(set(range(card.num_classes)) - set(labels))
    if holding or absent:
        raise UserError(
            f"{root}: has the folders {quote_names([folder.name for folder in folders])}, the card has the classes "
            f"{quote_names(card.class_names)}; rename, move or add what differs"
        )
    return [(label, folder) for label, folder in labelled if label is not None]


def _list_strays(root: Path, dataset: DatasetFolder, is_image: Callable[[Path], bool]) -> list[str]:
    """List files beside the class folders; an image among them has no label, which is an error."""
    files = [path for path in sorted(root.iterdir()) if path.is_file() and not is_hidden(PurePosixPath(path.name))]
    if images := [path for path in files if is_image(path)]:
        raise UserError(f"{images[0]}: is in no class folder; move it into one of them or away")
    return [dataset.to_text(path) for path in files]


def _check_no_slices(folder: Path, images: Iterable[ImageFile], dataset: DatasetFolder) -> None:
    """Refuse a class folder that is itself one volume: it holds loose slices, of who knows how many scans."""
    for image in images:
        if dataset.locate(image.text) == folder:
            raise UserError(f"{folder}: holds DICOM slices directly; put each series into a folder of its own in it")


def _find_groups(
    layout: FoldersLayout, placed: Sequence[_Placed], dataset: DatasetFolder
) -> tuple[Mapping[str, str | None], tuple[str, ...]]:
    """Return the group of each image by its text, and the tables that say so."""
    table = read_groups(layout.group_table, dataset) if layout.group_table else None
    if table is not None:
        files = tuple(map(dataset.to_text, table.files))
        return table.by_image([place.image for place in placed], dataset), files
    if (tag := layout.group_tag) is not None:
        return {p.image.text: read_group(dataset.locate(p.image.files[0]), tag) for p in placed}, ()
    if layout.group_pattern is not None:
        pattern = re.compile(layout.group_pattern)
        return {place.image.text: _match_group(pattern, place, dataset) for place in placed}, ()
    return {place.image.text: _group_frames(place.image) for place in placed}, ()


def _group_frames(image: ImageFile) -> str | None:
    """Return one group for the frames of one file; other images stand alone."""
    return image.source if image.source != image.text else None


def _match_group(pattern: re.Pattern[str], place: _Placed, dataset: DatasetFolder) -> str:
    path = dataset.locate(place.image.source)
    match = pattern.search(path.relative_to(place.folder).as_posix())
    if match is None or is_nobody(match[1] or ""):
        raise UserError(
            f"{format_path(path)}: group_pattern {pattern.pattern!r} finds no group in its name; correct name or card"
        )
    return match[1]
