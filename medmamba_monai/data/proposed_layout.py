"""Where the labels of a folder of images are: folders per class, or the columns of a table."""

from __future__ import annotations

import csv
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medmamba_monai.data.cards import comparable
from medmamba_monai.data.documents import is_hidden, path_to_text
from medmamba_monai.data.found import listed
from medmamba_monai.data.image_files import list_image_files
from medmamba_monai.data.tables import Row, read_table
from medmamba_monai.errors import UserError

_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}
_MAX_CLASSES = 200


@dataclass(frozen=True)
class Labels:
    """What a user says of the labels.

    Attributes:
        table: a table with a row for each image; None for a folder per class.
        image_column: its column of file names or paths.
        label_column: its column of classes; several of them hold 0 and 1 for each class.
        label_separator: what stands between several labels of one image.
        group_column: its column of patients.
        split_column: its column of official splits.
        separator: what stands between its cells; None to look.
        group_pattern: what of an image's path below its class folder names its patient.
    """

    table: Path | None = None
    image_column: str | None = None
    label_column: tuple[str, ...] = ()
    label_separator: str | None = None
    group_column: str | None = None
    split_column: str | None = None
    separator: str | None = None
    group_pattern: str | None = None

    @property
    def names_groups(self) -> bool:
        """Whether groups are named."""
        return self.group_column is not None or self.group_pattern is not None


@dataclass(frozen=True)
class ProposedLayout:
    """A layout as a card has it, its classes, and the folder that its paths are relative to."""

    layout: dict[str, Any]
    classes: tuple[str, ...]
    dataset_dir: Path
    several: bool
    reason: str


def propose_layout(images: Path, labels: Labels, group_tag: str | None) -> ProposedLayout:
    """Find the labels.

    Args:
        images: the folder of images.
        labels: what is said of them.
        group_tag: the DICOM tag that names groups, if any.

    Raises:
        UserError: they are not where they are said to be, or no class folders are found.
    """
    if labels.table is not None:
        return _table(images, labels, labels.table, group_tag)
    given = {
        "group_column": labels.group_column,
        "split_column": labels.split_column,
        "label_column": labels.label_column,
    }
    if named := [option for option, value in given.items() if value]:
        raise UserError(f"--{named[0]}: names a column, so pass the table too: --table labels.csv")
    return _folders(images, labels, group_tag)


def _folders(images: Path, labels: Labels, group_tag: str | None) -> ProposedLayout:
    names = _folder_names(images)
    splits = {split: name for name in names for split, spellings in _SPLITS.items() if comparable(name) in spellings}
    layout: dict[str, Any] = {"kind": "folders"}
    if "train" in splits and set(splits.values()) == set(names):
        layout["split_folders"] = {split: path_to_text(Path(splits[split])) for split in _SPLITS if split in splits}
        names = _folder_names(images / splits["train"])
    if len(names) < 2:
        raise UserError(
            f"--images {images}: has the folders {listed(names)}; it needs one folder of images for each class, or "
            "pass --table with the labels"
        )
    if labels.group_pattern is not None:
        layout["group_pattern"] = labels.group_pattern
    elif group_tag is not None:
        layout["group_tag"] = group_tag
    where = f"one folder per class ({listed(names)})" + (", below one folder per split" if splits else "")
    return ProposedLayout(layout, tuple(names), images, False, where)


def _folder_names(folder: Path) -> list[str]:
    """Names of the folders that hold images, sorted."""
    entries = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not is_hidden(Path(entry.name)))
    return [entry.name for entry in entries if list_image_files(folder, entry).images]


def _table(images: Path, labels: Labels, table: Path, group_tag: str | None) -> ProposedLayout:
    if not table.is_file():
        raise UserError(f"--table {table}: there is no such file")
    if labels.image_column is None or not labels.label_column:
        raise UserError(f"--table {table}: say which columns to use with --image_column and --label_column")
    separator = labels.separator or _separator(table)
    named = [labels.image_column, *labels.label_column, labels.group_column, labels.split_column]
    rows = read_table(table, filter(None, named), separator)
    if not rows:
        raise UserError(f"--table {table}: has no rows")
    dataset_dir = Path(os.path.commonpath([images.resolve(), table.parent.resolve()]))
    layout: dict[str, Any] = {
        "kind": "table",
        "path": path_to_text(table.resolve().relative_to(dataset_dir)),
        "image_folder": path_to_text(images.resolve().relative_to(dataset_dir)),
        "image_column": labels.image_column,
        "image_suffix": _suffix(images, rows, labels.image_column),
        "separator": separator,
        "group_column": labels.group_column,
        "group_tag": group_tag,
        **_splits(table, rows, labels.split_column),
        **_label_fields(labels),
    }
    classes = _classes(table, rows, labels)
    several = len(labels.label_column) > 1 or labels.label_separator is not None
    where = f"column {', '.join(map(repr, labels.label_column))} of {table.name} ({listed(classes)})"
    kept = {key: value for key, value in layout.items() if value not in (None, "")}
    return ProposedLayout(kept, classes, dataset_dir, several, where)


def _separator(table: Path) -> str:
    """The separator of a table's header."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            return csv.Sniffer().sniff(stream.readline(), delimiters=",;\t|").delimiter
    except (csv.Error, UnicodeError) as error:
        raise UserError(f"--table {table}: its separator is not clear ({error}); pass --separator") from error


def _suffix(images: Path, rows: list[Row], column: str) -> str:
    """What the column leaves out of the file names: nothing, or the one suffix that all images have."""
    files = list_image_files(images, images).images
    names = {Path(image.files[0]).name.casefold() for image in files}
    first = Path(rows[0][column].replace("\\", "/")).name.casefold()
    if first in names or (images / rows[0][column]).exists():
        return ""
    suffixes = Counter(name[len(first) :] for name in names if name.startswith(f"{first}."))
    return next(iter(suffixes), "")


def _splits(table: Path, rows: list[Row], column: str | None) -> dict[str, Any]:
    if column is None:
        return {}
    values = sorted({row[column] for row in rows})
    meanings = {value: split for value in values for split, names in _SPLITS.items() if comparable(value) in names}
    if unknown := [value for value in values if value not in meanings]:
        raise UserError(
            f"--split_column {column}: {table} has {listed(unknown)}, understood are {listed([*_SPLITS])}; "
            "rename them, or write split_values into the card by hand"
        )
    return {"split_column": column, "split_values": meanings}


def _label_fields(labels: Labels) -> dict[str, Any]:
    if len(labels.label_column) > 1:
        return {"label_columns": labels.label_column}
    return {"label_column": labels.label_column[0], "label_separator": labels.label_separator}


def _classes(table: Path, rows: list[Row], labels: Labels) -> tuple[str, ...]:
    if len(labels.label_column) > 1:
        return labels.label_column
    column = labels.label_column[0]
    cells = [row[column] for row in rows]
    words = [
        word.strip()
        for cell in cells
        for word in (cell.split(labels.label_separator) if labels.label_separator else [cell])
    ]
    classes = sorted({word for word in words if word or not labels.label_separator}, key=_natural)
    if "" in classes:
        empty = next(row for row in rows if not row[column])
        raise UserError(f"{empty.where}: has no {column}; complete the table")
    if len(classes) > _MAX_CLASSES:
        raise UserError(f"--label_column {column}: {table} has {len(classes)} different values there; is it the class?")
    return tuple(classes)


def _natural(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdigit() else (1 << 62, name)
