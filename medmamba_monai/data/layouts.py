"""Where the samples of a dataset are: looked for as they lie, then in archives, then downloaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from medmamba_monai.data.archives import SUFFIXES, unpack_new
from medmamba_monai.data.cards import DataFile, DatasetCard
from medmamba_monai.data.documents import inside
from medmamba_monai.data.download import download
from medmamba_monai.data.folder_layout import find_folders
from medmamba_monai.data.found import FoundData, NotFoundError
from medmamba_monai.data.npz_layout import choose_file, find_npz
from medmamba_monai.data.table_layout import find_table


def find_data(
    card: DatasetCard,
    dataset_dir: Path,
    source_file: str | None = None,
    fetch: bool = True,
    allow_links: bool = False,
) -> FoundData:
    """Find the data of a card below a folder; unpack archives that are there, or download where the card has a link.

    Args:
        card: the dataset.
        dataset_dir: where to look, at any depth.
        source_file: which of the card's files to use; by default the one with the largest images that is there.
        fetch: whether to download a missing file.
        allow_links: whether links may lead out of ``dataset_dir``.

    Raises:
        UserError: nothing is there, or what is there is damaged or does not fit the card.
    """
    found = _found(card, dataset_dir, source_file, fetch, allow_links)
    used = set(found.files)
    ignored = tuple(file for file in found.ignored if file not in used and not file.lower().endswith(SUFFIXES))
    return replace(found, ignored=ignored)


def _found(card: DatasetCard, dataset_dir: Path, source_file: str | None, fetch: bool, allow_links: bool) -> FoundData:
    try:
        return _look(card, dataset_dir, source_file, allow_links)
    except NotFoundError:
        if dataset_dir.is_dir() and unpack_new(dataset_dir):
            return _found(card, dataset_dir, source_file, fetch, allow_links)
        file = _to_fetch(card, dataset_dir, source_file, allow_links) if fetch else None
        if file is None:
            raise
    size = f" ({file.bytes / 1e6:.1f} MB)" if file.bytes else ""
    print(f"{dataset_dir / file.path} is not there: downloading {file.url}{size}")
    download(str(file.url), inside(dataset_dir, file.path, allow_links), file.md5)
    return _found(card, dataset_dir, source_file, fetch, allow_links)


def _look(card: DatasetCard, dataset_dir: Path, source_file: str | None, allow_links: bool) -> FoundData:
    layout = card.layout
    if layout.kind == "npz":
        return find_npz(card, layout, dataset_dir, source_file, allow_links)
    if layout.kind == "folders":
        return find_folders(card, layout, dataset_dir, allow_links)
    return find_table(card, layout, dataset_dir, allow_links)


def _to_fetch(card: DatasetCard, dataset_dir: Path, source_file: str | None, allow_links: bool) -> DataFile | None:
    """The file that is missing and can be downloaded; None where there is none."""
    if card.layout.kind == "npz":
        wanted = [choose_file(card, dataset_dir, source_file, allow_links)]
    else:
        wanted = [file for file in card.files if source_file in (None, file.path)]
    missing = [file for file in wanted if not inside(dataset_dir, file.path, allow_links).exists()]
    return next((file for file in missing if file.url is not None), None)


def without_leaks(card: DatasetCard, found: FoundData) -> FoundData:
    """Leave out training images of a group of the official test set, where the card says so."""
    table = None if card.layout.kind == "table" else card.layout.group_table
    if table is None or not table.drop_leaks:
        return found
    tested = {sample.group for sample in found.samples if sample.split == "test"} - {None}
    kept = tuple(sample for sample in found.samples if sample.split == "test" or sample.group not in tested)
    dropped = len(found.samples) - len(kept)
    if not dropped:
        return found
    remark = f"{dropped} training images share a group with the official test set and are left out, as the card says"
    return replace(found, samples=kept, remarks=(*found.remarks, remark))
