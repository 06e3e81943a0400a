"""The look for a dataset: as it lies, then in archives, then by download."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from medmamba_monai.cards.card import DatasetCard
from medmamba_monai.cards.parts import DataFile
from medmamba_monai.core.documents import is_hidden, text_to_path
from medmamba_monai.core.names import FrameReference, format_path
from medmamba_monai.core.spelling import comparable
from medmamba_monai.data.find.archives import SUFFIXES, list_archives, strip_archive_suffix, unpack_new
from medmamba_monai.data.find.companions import find_companions
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.download import compute_md5, download
from medmamba_monai.data.find.folder_layout import find_folders
from medmamba_monai.data.find.found import FoundData, NotFoundError
from medmamba_monai.data.find.npz_layout import choose_file, find_npz
from medmamba_monai.data.find.records import add_records
from medmamba_monai.data.find.table_layout import find_table
from medmamba_monai.data.samples import Sample


def find_data(
    card: DatasetCard,
    folder: DatasetFolder,
    source_file: str | None = None,
    fetch: bool = True,
    unpack: bool = True,
    allow_checksum_mismatch: bool = False,
) -> FoundData:
    """Find the data of a card below a folder; unpack archives that are there, or download where the card has a link.

    Where the card's ``files`` name archives, only these are unpacked, from wherever they are below the folder, and
    other versions of them in the folder itself, such as ``name-v2.zip`` or ``name (1).zip``. Else it is archives in the
    folder itself, and, for a table, in the folder of the images (that of the table, where none is declared) and in the
    folders in it. Archives within these are unpacked, too. Nothing is unpacked for npz files.

    Args:
        card: the dataset.
        folder: where to look, at any depth.
        source_file: which of the card's files to use; by default the one with the largest images that is there.
        fetch: whether to download a missing file.
        unpack: whether to unpack archives.
        allow_checksum_mismatch: whether an npz file may be another than the published ones.

    Raises:
        UserError: nothing is there, or what is there is damaged or does not fit the card.
    """
    found = _find(card, folder, source_file, fetch, unpack, allow_checksum_mismatch)
    found = add_records(card, folder, found)
    used = set(found.files)
    ignored = tuple(file for file in found.ignored if file not in used and not file.lower().endswith(SUFFIXES))
    found, spelled = _join_spellings(found)
    return replace(found, ignored=ignored, remarks=(*found.remarks, *spelled, *_warn_of_companions(card, found)))


def _join_spellings(found: FoundData) -> tuple[FoundData, list[str]]:
    """Give groups that look alike one name, the first; return a remark if there are any, which names none."""
    names: dict[str, str] = {}
    spellings = {s.group for s in found.samples if s.group is not None and not _is_own_file(s)}
    for sample in found.samples:
        if sample.group in spellings:
            names.setdefault(comparable(str(sample.group)), str(sample.group))
    if len(names) == len(spellings):
        return found, []
    samples = (replace(s, group=names[comparable(str(s.group))]) if s.group in spellings else s for s in found.samples)
    remark = (
        f"{len(spellings)} spellings of patients or other groups are taken for {len(names)}: 3 and 3.0, or a1 and A1, "
        "are one; give others other names"
    )
    return replace(found, samples=tuple(samples)), [remark]


def _is_own_file(sample: Sample) -> bool:
    """Return whether a group is just the file that holds the frames of an image."""
    frame = FrameReference.parse(sample.image)
    return frame is not None and frame.file == sample.group


def _warn_of_companions(card: DatasetCard, found: FoundData) -> list[str]:
    """Return a remark on images that look like masks of others; it names none, as names may be those of patients."""
    if card.label_layout.kind == "npz":
        return []
    count, images = len(find_companions(sample.image for sample in found.samples)), len(found.samples)
    if not count:
        return []
    return [
        f"{count} of {images} images look by their names like masks, outlines or thumbnails of others (NAME_mask "
        "beside NAME) and are taken for images of their own; move them away if they are none"
    ]


def _find(
    card: DatasetCard, folder: DatasetFolder, source_file: str | None, fetch: bool, unpack: bool, any_checksum: bool
) -> FoundData:
    try:
        return _look(card, folder, source_file, any_checksum)
    except NotFoundError:
        if not (unpack and unpack_new(_list_archives(card, folder))):
            file = _choose_missing_file(card, folder, source_file) if fetch else None
            if file is None:
                raise
            _fetch(file, folder.find(file.path))
    return _find(card, folder, source_file, fetch, unpack, any_checksum)


def _fetch(file: DataFile, path: Path) -> None:
    size = f" ({file.bytes / 1e6:.1f} MB)" if file.bytes else ""
    print(f"{format_path(path)} is not there: downloading {file.url}{size}", flush=True)
    download(str(file.url), path, file.md5)
    if file.md5 is None:
        print(f"{format_path(path)} has MD5 {compute_md5(path)}; the card names none to compare it with")


def _list_archives(card: DatasetCard, folder: DatasetFolder) -> list[Path]:
    """Return the archives that may hold the data; see `find_data`."""
    if card.label_layout.kind == "npz" or not folder.exists():
        return []
    names = [file.path for file in card.files if file.path.lower().endswith(SUFFIXES)]
    if names:
        found = [path for name in names for path in _find_archive(folder, name)]
    else:
        found = [path for place in _list_archive_folders(card, folder) for path in list_archives(place)]
    texts = dict.fromkeys(folder.to_text(path) for path in found)
    return [folder.find(text) for text in texts]


def _find_archive(folder: DatasetFolder, name: str) -> list[Path]:
    if (path := folder.find_named(name)) is not None:
        return [path]
    version = re.compile(
        re.escape(strip_archive_suffix(Path(text_to_path(name)).name)) + r"([\W_].*)?", re.IGNORECASE | re.DOTALL
    )
    return [path for path in list_archives(folder.root) if version.fullmatch(strip_archive_suffix(path.name))]


def _list_archive_folders(card: DatasetCard, folder: DatasetFolder) -> Iterator[Path]:
    """Yield where archives that the card does not name are looked for."""
    yield folder.root
    yield from _find_only_folder(folder.root)
    if card.label_layout.kind != "table":
        return
    images, table = folder.find(card.label_layout.image_folder), folder.find_named(card.label_layout.path)
    if images == folder.root and table is not None:
        images = table.parent
    if images.is_dir() and (images != folder.root or table is not None):
        yield images
        yield from sorted(path for path in images.iterdir() if path.is_dir() and not is_hidden(Path(path.name)))


def _find_only_folder(folder: Path) -> list[Path]:
    """Return the folder in a folder that holds nothing else: what comes out of an archive unpacked by hand."""
    entries = [path for path in folder.iterdir() if not is_hidden(Path(path.name))]
    return entries if len(entries) == 1 and entries[0].is_dir() else []


def _look(card: DatasetCard, folder: DatasetFolder, source_file: str | None, any_checksum: bool) -> FoundData:
    layout = card.label_layout
    if layout.kind == "npz":
        return find_npz(card, layout, folder, source_file, any_checksum)
    if layout.kind == "folders":
        return find_folders(card, layout, folder)
    return find_table(card, layout, folder)


def _choose_missing_file(card: DatasetCard, folder: DatasetFolder, source_file: str | None) -> DataFile | None:
    """Return the file that is missing and can be downloaded; None where there is none."""
    if card.label_layout.kind == "npz":
        wanted = [choose_file(card, folder, source_file)]
    else:
        wanted = [file for file in card.files if source_file in (None, file.path)]
    missing = [file for file in wanted if not folder.find(file.path).exists()]
    return next((file for file in missing if file.url is not None), None)


def drop_leaks(card: DatasetCard, found: FoundData) -> FoundData:
    """Leave out training images of a group of the official test set, where the card says so."""
    table = None if card.label_layout.kind == "table" else card.label_layout.group_table
    if table is None or not table.drop_leaks:
        return found
    tested = {sample.group for sample in found.samples if sample.split == "test"} - {None}
    kept = tuple(sample for sample in found.samples if sample.split == "test" or sample.group not in tested)
    dropped = len(found.samples) - len(kept)
    if not dropped:
        return found
    remark = f"{dropped} training images share a group with the official test set and are left out, as the card says"
    return replace(found, samples=kept, remarks=(*found.remarks, remark))
