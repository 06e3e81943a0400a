"""Proposed layouts: folders per class, or the columns of a table."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from medmamba_monai.cards.layouts import SPLIT_SPELLINGS, Split
from medmamba_monai.core.documents import is_hidden, path_to_text, text_to_path
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.spelling import comparable
from medmamba_monai.data.find.found import quote_names
from medmamba_monai.data.find.tables import Row, read_table, refuse_other_files, skip_separator_line
from medmamba_monai.data.propose.first_look import FirstLook
from medmamba_monai.data.propose.labels import Labels, make_order_key, propose_labels
from medmamba_monai.data.propose.records import propose_records
from medmamba_monai.data.propose.suffix import find_suffix

_NOT_A_SPLIT = {"set", "data", "dataset", "images", "split"}


@dataclass(frozen=True)
class ProposedLayout:
    """A layout and records as a card has them, the classes, and the folder that its paths are relative to."""

    layout: dict[str, Any]
    classes: tuple[str, ...]
    dataset_dir: Path
    several: bool
    reason: str
    remarks: tuple[str, ...] = ()
    records: dict[str, Any] | None = None


def propose_layout(
    look: FirstLook, labels: Labels, group_tag: str | None, classes: Sequence[str] = ()
) -> ProposedLayout:
    """Find the labels.

    Args:
        look: what the folder of images holds.
        labels: what is said of them.
        group_tag: the DICOM tag that names groups, if any.
        classes: names of the classes, where a user gives them; they say which spelling is meant.

    Raises:
        UserError: they are not where they are said to be, or no class folders are found.
    """
    if labels.table is not None and not labels.table.is_file():
        raise UserError(f"--table {labels.table}: there is no such file")
    if labels.table is not None and labels.record_columns and not labels.label_column:
        return _propose_folders_with_records(look, labels, labels.table, group_tag)
    if labels.table is not None:
        return _propose_table(look, labels, labels.table, group_tag, classes)
    given = {
        "record_columns": labels.record_columns,
        "group_column": labels.group_column,
        "split_column": labels.split_column,
        "label_column": labels.label_column,
    }
    if named := [option for option, value in given.items() if value]:
        raise UserError(f"--{named[0]}: names a column, so pass the table too: --table labels.csv")
    return _propose_folders(look, labels, group_tag)


def _propose_folders(look: FirstLook, labels: Labels, group_tag: str | None) -> ProposedLayout:
    images = look.folder.root
    names, empty = _list_folder_names(look, images)
    splits = {name: split for name in names if (split := _find_split(name)) is not None}
    splits = splits if "train" in splits.values() else {}  # a class may be called test or valid
    layout: dict[str, Any] = {"kind": "folders"}
    if splits:
        layout["split_folders"] = _split_folders(images, names, splits)
        train = next(name for name, split in splits.items() if split == "train")
        names, empty = _list_folder_names(look, images / train)
    if len(names) < 2:
        raise UserError(
            f"--images {images}: has {f'the folders {quote_names(names)}' if names else 'no folders of images'}; it "
            f"needs one folder of images for each class, or pass --table with the labels.{_make_hint(look, names)}"
        )
    _refuse_look_alikes(images, names)
    if labels.group_pattern is not None:
        layout["group_pattern"] = labels.group_pattern
    elif group_tag is not None:
        layout["group_tag"] = group_tag
    where = f"one folder per class ({quote_names(names)})" + (", below one folder per split" if splits else "")
    remarks = (f"folders without images are no classes: {quote_names(empty)}",) if empty else ()
    return ProposedLayout(layout, tuple(sorted(names, key=make_order_key)), images, False, where, remarks)


def _propose_folders_with_records(
    look: FirstLook, labels: Labels, table: Path, group_tag: str | None
) -> ProposedLayout:
    """Propose class folders, with a table that holds records and no labels."""
    if labels.image_column is None or labels.group_column or labels.split_column:
        raise UserError(
            f"--table {table}: with folders of classes it holds --record-columns and --image-column alone; where it "
            "holds the labels, too, name them with --label-column"
        )
    proposed = _propose_folders(look, labels, group_tag)
    separator = _choose_separator(table, labels)
    rows = _read_rows(table, [labels.image_column, *labels.record_columns], separator, labels.encoding)
    columns, remarks = propose_records(rows, labels.record_columns)
    dataset_dir = _find_common_folder(look.folder.root, table)
    records = {
        "columns": columns,
        "path": path_to_text(table.resolve().relative_to(dataset_dir)),
        "image_column": labels.image_column,
        "separator": separator,
        "encoding": labels.encoding,
    }
    return replace(proposed, dataset_dir=dataset_dir, remarks=(*proposed.remarks, *remarks), records=records)


def _refuse_look_alikes(images: Path, names: list[str]) -> None:
    first: dict[str, str] = {}
    for name in names:
        if (before := first.setdefault(comparable(name), name)) != name:
            raise UserError(
                f"--images {images}: the folders {before!r} and {name!r} would be one class: names and aliases must "
                "differ in more than case, blanks, _, - and zeros of numbers; put their images together, or rename one"
            )


def _find_split(name: str) -> Split | None:
    """Return the split that a folder is named after, such as ``test_set``; None for any other name."""
    words = set(comparable(name).split()) - _NOT_A_SPLIT
    return next((split for split, spellings in SPLIT_SPELLINGS.items() if words and words <= set(spellings)), None)


def _split_folders(images: Path, names: list[str], splits: dict[str, Split]) -> dict[str, str]:
    others = [name for name in names if name not in splits]
    if others or len(set(splits.values())) < len(splits):
        raise UserError(
            f"--images {images}: has the folders {quote_names(names)}, some of which name an official split; keep one "
            "folder for each of train, validation and test and move the others away; if they are classes, rename them"
        )
    return {split: path_to_text(Path(name)) for split in SPLIT_SPELLINGS for name in names if splits[name] == split}


def _make_hint(look: FirstLook, names: list[str]) -> str:
    """Return where the class folders seem to be, if one level deeper."""
    if len(names) != 1 or len(_list_folder_names(look, look.folder.root / names[0])[0]) < 2:
        return ""
    return f" Did you mean --images {look.folder.root / names[0]}?"


def _list_folder_names(look: FirstLook, folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the folders that hold images, and of those that hold none; sorted."""
    place = folder.relative_to(look.folder.root).parts
    files = (PurePosixPath(text_to_path(image.files[0])).parts for image in look.listing.images)
    holding = {file[len(place)] for file in files if file[: len(place)] == place and len(file) > len(place) + 1}
    entries = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not is_hidden(Path(entry.name)))
    return [name for name in entries if name in holding], [name for name in entries if name not in holding]


def _propose_table(
    look: FirstLook, labels: Labels, table: Path, group_tag: str | None, named_classes: Sequence[str]
) -> ProposedLayout:
    images = look.folder.root
    if labels.group_pattern is not None:
        raise UserError("--group_pattern: is for folders of classes; with a table name the patient's --group_column")
    if labels.image_column is None or not labels.label_column:
        raise UserError(f"--table {table}: say which columns to use with --image_column and --label_column")
    if labels.no_label and labels.label_separator is None:
        raise UserError("--no-label: is for several labels in one cell; pass --label-separator, or remove the rows")
    separator = _choose_separator(table, labels)
    named = [labels.image_column, *labels.label_column, labels.group_column, labels.split_column]
    rows = _read_rows(table, [*filter(None, named), *labels.record_columns], separator, labels.encoding)
    dataset_dir = _find_common_folder(images, table)
    layout: dict[str, Any] = {
        "kind": "table",
        "path": path_to_text(table.resolve().relative_to(dataset_dir)),
        "image_folder": path_to_text(images.resolve().relative_to(dataset_dir)),
        "image_column": labels.image_column,
        "image_suffix": find_suffix(look.listing, rows, labels.image_column),
        "separator": separator,
        "encoding": labels.encoding,
        "group_column": labels.group_column,
        "group_tag": group_tag,
        **_read_splits(table, rows, labels.split_column),
    }
    found = propose_labels(rows, labels, named_classes)
    where = f"column {', '.join(map(repr, labels.label_column))} of {table.name} ({quote_names(found.classes)})"
    kept = {key: value for key, value in (layout | found.fields).items() if value not in (None, "", [], {})}
    columns, remarks = propose_records(rows, labels.record_columns)
    records = {"columns": columns} if columns else None
    said = (*found.remarks, *remarks)
    return ProposedLayout(kept, found.classes, dataset_dir, found.several, where, said, records)


def _choose_separator(table: Path, labels: Labels) -> str:
    """Return the separator that is given, or that of the header."""
    separator = labels.separator or _find_separator(table, labels.encoding)
    if len(separator) != 1:
        raise UserError(f"--separator {separator!r}: give one letter, such as ';'")
    return separator


def _read_rows(table: Path, columns: Sequence[str], separator: str, encoding: str) -> list[Row]:
    rows = read_table(table, columns, separator, encoding)
    if not rows:
        raise UserError(f"--table {table}: has no rows")
    return rows


def _find_common_folder(images: Path, table: Path) -> Path:
    """Return the folder that both are in, to which the card's paths are relative."""
    common = Path(os.path.commonpath([images.resolve(), table.parent.resolve()]))
    if common in (Path(common.anchor), Path.home()):
        raise UserError(f"--table {table}: is far from {images}; put the table into the folder of images or beside it")
    return common


def _find_separator(table: Path, encoding: str) -> str:
    """Return the separator of a table's header."""
    refuse_other_files(table)
    try:
        with table.open(encoding=encoding, newline="") as stream:
            if (said := skip_separator_line(stream)) is not None:
                return said
            return csv.Sniffer().sniff(stream.readline(), delimiters=",;\t|").delimiter
    except (UnicodeError, LookupError) as error:
        raise UserError(
            f"--table {table}: is not text in {encoding}; pass --encoding, such as latin-1 or utf-16"
        ) from error
    except csv.Error as error:
        raise UserError(f"--table {table}: its separator is not clear ({error}); pass --separator") from error


def _read_splits(table: Path, rows: list[Row], column: str | None) -> dict[str, Any]:
    if column is None:
        return {}
    values = sorted({row[column] for row in rows})
    meanings = {value: split for value in values if (split := _find_split(value)) is not None}
    if unknown := [value for value in values if value not in meanings]:
        raise UserError(
            f"--split_column {column}: {table} has {quote_names(unknown)}, understood are "
            f"{quote_names([*SPLIT_SPELLINGS])}; "
            "rename them in the table"
        )
    return {"split_column": column, "split_values": meanings}
