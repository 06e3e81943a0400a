"""Where the samples of a dataset are: looked for as they lie, then in archives, then downloaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from medmamba_monai.cards.card import DataFile, DatasetCard
from medmamba_monai.core.documents import is_hidden, join_inside, path_to_text, text_to_path
from medmamba_monai.core.names import format_path
from medmamba_monai.data.find.archives import SUFFIXES, list_archives, strip_archive_suffix, unpack_new
from medmamba_monai.data.find.download import compute_md5, download
from medmamba_monai.data.find.folder_layout import find_folders
from medmamba_monai.data.find.found import FoundData, NotFoundError
from medmamba_monai.data.find.npz_layout import choose_file, find_npz
from medmamba_monai.data.find.table_layout import find_table
from medmamba_monai.data.find.tables import find_file


def find_data(
    card: DatasetCard,
    dataset_dir: Path,
    source_file: str | None = None,
    fetch: bool = True,
    allow_links: bool = False,
    unpack: bool = True,
) -> FoundData:
    """Find the data of a card below a folder; unpack archives that are there, or download where the card has a link.

    Where the card's ``files`` name archives, only these are unpacked, from wherever they are below the folder, and
    other versions of them in the folder itself, such as ``name-v2.zip`` or ``name (1).zip``. Else it is archives in the
    folder itself, and, for a table, in the folder of the images (that of the table, where none is declared) and in the
    folders in it. Archives within these are unpacked, too. Nothing is unpacked for npz files.

    Args:
        card: the dataset.
        dataset_dir: where to look, at any depth.
        source_file: which of the card's files to use; by default the one with the largest images that is there.
        fetch: whether to download a missing file.
        allow_links: whether links may lead out of ``dataset_dir``.
        unpack: whether to unpack archives.

    Raises:
        UserError: nothing is there, or what is there is damaged or does not fit the card.
    """
    found = _found(card, dataset_dir, source_file, fetch, allow_links, unpack)
    used = set(found.files)
    ignored = tuple(file for file in found.ignored if file not in used and not file.lower().endswith(SUFFIXES))
    return replace(found, ignored=ignored)


def _found(
    card: DatasetCard, dataset_dir: Path, source_file: str | None, fetch: bool, allow_links: bool, unpack: bool
) -> FoundData:
    try:
        return _look(card, dataset_dir, source_file, allow_links)
    except NotFoundError:
        if not (unpack and unpack_new(_archives(card, dataset_dir, allow_links))):
            file = _to_fetch(card, dataset_dir, source_file, allow_links) if fetch else None
            if file is None:
                raise
            _fetch(file, join_inside(dataset_dir, file.path, allow_links))
    return _found(card, dataset_dir, source_file, fetch, allow_links, unpack)


def _fetch(file: DataFile, path: Path) -> None:
    size = f" ({file.bytes / 1e6:.1f} MB)" if file.bytes else ""
    print(f"{format_path(path)} is not there: downloading {file.url}{size}", flush=True)
    download(str(file.url), path, file.md5)
    if file.md5 is None:
        print(f"{format_path(path)} has MD5 {compute_md5(path)}; the card names none to compare it with")


def _archives(card: DatasetCard, dataset_dir: Path, allow_links: bool) -> list[Path]:
    """The archives that may hold the data; see `find_data`."""
    if card.layout.kind == "npz" or not dataset_dir.is_dir():
        return []
    names = [file.path for file in card.files if file.path.lower().endswith(SUFFIXES)]
    if names:
        found = [path for name in names for path in _named(dataset_dir, name, allow_links)]
    else:
        found = [path for folder in _folders(card, dataset_dir, allow_links) for path in list_archives(folder)]
    texts = dict.fromkeys(path_to_text(path.relative_to(dataset_dir)) for path in found)
    return [join_inside(dataset_dir, text, allow_links) for text in texts]


def _named(dataset_dir: Path, name: str, allow_links: bool) -> list[Path]:
    if (path := find_file(dataset_dir, name, allow_links)) is not None:
        return [path]
    version = re.compile(
        re.escape(strip_archive_suffix(Path(text_to_path(name)).name)) + r"([\W_].*)?", re.IGNORECASE | re.DOTALL
    )
    return [path for path in list_archives(dataset_dir) if version.fullmatch(strip_archive_suffix(path.name))]


def _folders(card: DatasetCard, dataset_dir: Path, allow_links: bool) -> Iterator[Path]:
    """Where archives that the card does not name are looked for."""
    yield dataset_dir
    yield from _only_folder(dataset_dir)
    if card.layout.kind != "table":
        return
    folder = join_inside(dataset_dir, card.layout.image_folder, allow_links)
    table = find_file(dataset_dir, card.layout.path, allow_links)
    if folder == dataset_dir and table is not None:
        folder = table.parent
    if folder.is_dir() and (folder != dataset_dir or table is not None):
        yield folder
        yield from sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(Path(path.name)))


def _only_folder(folder: Path) -> list[Path]:
    """The folder in a folder that holds nothing else: what comes out of an archive that was unpacked by hand."""
    entries = [path for path in folder.iterdir() if not is_hidden(Path(path.name))]
    return entries if len(entries) == 1 and entries[0].is_dir() else []


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
    missing = [file for file in wanted if not join_inside(dataset_dir, file.path, allow_links).exists()]
    return next((file for file in missing if file.url is not None), None)


def drop_leaks(card: DatasetCard, found: FoundData) -> FoundData:
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
