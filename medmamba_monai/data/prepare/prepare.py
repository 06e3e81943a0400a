"""The way from a dataset to its saved folds: find or download it, look at every image, make the folds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from medmamba_monai.cards.card import DatasetCard, load_card
from medmamba_monai.core.defaults import NUM_FOLDS
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.core.names import format_path
from medmamba_monai.data.counts import check_counts
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.found import FoundData
from medmamba_monai.data.find.layouts import drop_leaks, find_data
from medmamba_monai.data.folds.fold_list import FoldList, HoldOut, Source, build_fold_list
from medmamba_monai.data.folds.hold_out import hold_out_test
from medmamba_monai.data.folds.make import Folds, join_groups, make_folds
from medmamba_monai.data.folds.read import read_fold_list
from medmamba_monai.data.prepare.inspect import inspect_images
from medmamba_monai.data.prepare.report import REPORT_NAME, build_report, describe_report
from medmamba_monai.images.read import ReadImage


def prepare_dataset(
    card: DatasetCard | str | Path,
    dataset_dir: str | Path,
    data_list: str | Path,
    num_folds: int = NUM_FOLDS,
    seed: int = 0,
    source_file: str | None = None,
    download: bool = True,
    allow_count_mismatch: bool = False,
    allow_checksum_mismatch: bool = False,
    overwrite: bool = False,
    near_duplicates: bool = False,
    allow_links: bool = False,
    hold_out: float | None = None,
    hold_out_seed: int = 0,
) -> FoldList:
    """Write the fold list of a dataset and, beside it, ``prepare_report.json``; print what was found.

    Only downloads and unpacked archives are written into ``dataset_dir``, which may otherwise be read-only.

    Args:
        card: the dataset's card, or its file.
        dataset_dir: folder of the data.
        data_list: the ``folds.json`` to write.
        num_folds: number of folds.
        seed: seed of the shuffling.
        source_file: which of the card's files to use; by default the one with the largest images that is there.
        download: whether to download a missing file.
        allow_count_mismatch: go on when the counts differ from the card's, and record it in the list.
        allow_checksum_mismatch: go on with an npz file that is not the published one, and record it in the list.
        overwrite: replace a list that differs.
        near_duplicates: look for pictures that are nearly the same, too, and report them.
        allow_links: whether images may be links that leave ``dataset_dir``.
        hold_out: share of the images to keep out as a test set before the folds are made, where there is no official
            one; see `hold_out_test`.
        hold_out_seed: seed of that drawing.

    Returns:
        The list, also when it was there before.

    Raises:
        UserError: the data are missing, damaged or not what the card says, the folds cannot be made, or another list is
            already there.
    """
    card = card if isinstance(card, DatasetCard) else load_card(card)
    folder, data_list = DatasetFolder(Path(dataset_dir), allow_links), Path(data_list)
    if data_list.is_dir():
        raise UserError(f"data_list: {data_list} is a folder; give the file to write, e.g. {data_list / 'folds.json'}")
    found = find_data(card, folder, source_file, download, allow_checksum_mismatch=allow_checksum_mismatch)
    mismatch = check_counts(card, found.samples, allow_count_mismatch)
    if card.official_test and not any(sample.split == "test" for sample in found.samples):
        raise UserError(
            f"{card.name}: the card has an official test set, but no image of it was found; correct one of them"
        )
    read = ReadImage(**card.reading_arguments())
    groups = len({sample.group for sample in found.samples} - {None})
    inspection = inspect_images(found.samples, folder, read.read_with_facts, near_duplicates)
    found = drop_leaks(card, replace(found, samples=tuple(join_groups(found.samples, inspection.duplicates))))
    held_out = None if hold_out is None else HoldOut(share=hold_out, seed=hold_out_seed)
    found, folds = _make_folds(card, found, num_folds, seed, held_out)
    sources = _describe_sources(found.files, folder)
    made = build_fold_list(
        card, found.samples, folds, sources, folder, data_list, mismatch, found.checksum_mismatch, held_out
    )
    report = build_report(card, made, found, inspection, groups)
    print(*map(format_path, describe_report(card, report).splitlines()), sep="\n", flush=True)
    _save(made, report, overwrite)
    return made


def _make_folds(
    card: DatasetCard, found: FoundData, num_folds: int, seed: int, held_out: HoldOut | None
) -> tuple[FoundData, Folds]:
    """Return the samples, those held out among them marked as such, and the folds of the others."""
    if held_out is None:
        return found, make_folds(found.samples, num_folds, seed, card.class_names)
    marked = hold_out_test(found.samples, held_out.share, held_out.seed, card.class_names)
    folds = replace(make_folds(marked, num_folds, seed, card.class_names), protocol="hold-out")
    return replace(found, samples=tuple(marked)), folds


def _describe_sources(files: Iterable[str], folder: DatasetFolder) -> list[Source]:
    return [Source(path=file, bytes=folder.locate(file).stat().st_size, md5=folder.compute_md5(file)) for file in files]


def _save(made: FoldList, report: dict[str, Any], overwrite: bool) -> None:
    unchanged = made.path.exists() and not overwrite and _is_same(made)
    write_json(made.path.with_name(REPORT_NAME), report)
    if unchanged:
        print(f"{format_path(made.path)} is there already, with the same folds: left as it is; wrote {REPORT_NAME}")
        return
    made.write()
    print(f"wrote {format_path(made.path)} and {REPORT_NAME}")


def _is_same(made: FoldList) -> bool:
    """Return whether the list that is there is this one; not where only what was allowed differs.

    Raises:
        UserError: it holds other folds.
    """
    there = read_fold_list(made.path, made.dataset_dir, verify=False)
    if there.reading != made.reading:
        raise UserError(
            f"{made.path}: was prepared with reading {there.reading}, the card now reads with {made.reading}; runs "
            "that used it would no longer compare. Choose another data_list, or pass --overwrite True"
        )
    if there.digest != made.digest:
        raise UserError(
            f"{made.path}: holds other folds or images (digest {there.digest[:12]}, these are {made.digest[:12]}); "
            "runs that used them would no longer compare. Choose another data_list, or pass --overwrite True"
        )
    if there.records_digest != made.records_digest:
        print("the clinical records differ from those of the list that is there: it is written again, folds unchanged")
        return False
    allowed = [(folds.allow_links, folds.count_mismatch, folds.checksum_mismatch) for folds in (there, made)]
    return allowed[0] == allowed[1]
