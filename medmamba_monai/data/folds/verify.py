"""Checks that a dataset is what it was when its folds were made."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import FrameReference, format_path
from medmamba_monai.data.find.download import compute_md5
from medmamba_monai.data.find.image_files import select_image_files
from medmamba_monai.data.folds.fold_list import FoldList, Source
from medmamba_monai.images.npz import NpzReference, read_npz_array


def verify_sources(folds: FoldList) -> None:
    """Compare every file that the images come from with what it was.

    Raises:
        UserError: a file is missing, has other content, leaves the dataset folder, or is new in a folder of slices.
    """
    places = [folds.folder.find(name) for name in sorted(set(_list_files(folds)))]
    for source in folds.sources:
        _verify_source(folds, source)
    listed = {source.path for source in folds.sources}
    for place in places:
        if place.is_dir():
            _verify_series(folds, place, listed)


def verify_npz_labels(folds: FoldList) -> None:
    """Compare the labels of images in npz files with those of the list.

    Raises:
        UserError: they differ.
    """
    for item in (*folds.training, *folds.test):
        reference = NpzReference.parse(item.image)
        if reference is None:
            continue
        path, key = folds.folder.locate(reference.file), reference.key.replace("_images", "_labels")
        labels = read_npz_array(path, key)
        found = labels[reference.index].ravel().tolist() if reference.index < len(labels) else "no such image"
        if found != ([item.label] if isinstance(item.label, int) else list(item.label)):
            raise UserError(
                f"{folds.path}: {item.id} has label {item.label}, {reference} has {found}; run prepare again"
            )


def _list_files(folds: FoldList) -> Iterable[str]:
    """Yield the file, or the folder of slices, of every image, in the written form."""
    for item in (*folds.training, *folds.test):
        reference = NpzReference.parse(item.image) or FrameReference.parse(item.image)
        yield reference.file if reference is not None else item.image


def _verify_source(folds: FoldList, source: Source) -> None:
    file = folds.folder.find(source.path)
    if not file.is_file():
        raise UserError(f"{file}: is in {folds.path}, but does not exist; set dataset_dir, or run prepare again")
    size = file.stat().st_size
    found = f"{size} bytes" if size != source.bytes else f"MD5 {compute_md5(file)}"
    expected = f"{source.bytes} bytes" if size != source.bytes else f"MD5 {source.md5}"
    if found != expected:
        raise UserError(f"{file}: has {found}, {folds.path} was made for {expected}; restore it, or run prepare again")


def _verify_series(folds: FoldList, folder: Path, listed: set[str]) -> None:
    """Refuse a slice that came later: it changes the volume, though no file of the list changes."""
    for file in select_image_files(sorted(folder.iterdir())):
        if folds.folder.to_text(file) not in listed:
            raise UserError(
                f"{format_path(file)}: is new in a folder of slices, {folds.path} was made without it; move it "
                "away, or run "
                "prepare again"
            )
