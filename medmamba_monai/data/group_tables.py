"""Which images belong to one patient, lesion or scan, from a table beside them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from medmamba_monai.data.card_layouts import GroupTable
from medmamba_monai.data.documents import text_to_path
from medmamba_monai.data.tables import Row, find_file, read_table
from medmamba_monai.errors import UserError

_SPLITS = {"train": "train", "training": "train", "val": "val", "validation": "val", "valid": "val", "test": "test"}


@dataclass(frozen=True)
class Groups:
    """The group of each image.

    Attributes:
        by_key: group by image name (folded case, without suffix), or by split and index as ``train-00012``.
        files: the tables, relative to the dataset folder.
    """

    by_key: dict[str, str]
    files: tuple[Path, ...]


def image_key(name: str) -> str:
    """What an image is called in a table: its file name without folders and suffix, in folded case."""
    return PurePosixPath(text_to_path(name)).stem.casefold()


def position_key(split: str, index: int) -> str:
    """What an image of an npz file is called: its split and its number."""
    return f"{split}-{index:05d}"


def read_groups(table: GroupTable, dataset_dir: Path, allow_links: bool = False) -> Groups | None:
    """Read the table of groups.

    Returns:
        The groups; None where the table is not there and may be missing.

    Raises:
        UserError: a table is missing or does not fit, or names an image twice with different groups.
    """
    path = find_file(dataset_dir, table.path, allow_links)
    if path is None:
        if table.required:
            raise UserError(f"{dataset_dir}: has no {table.path}, which tells which images belong together")
        return None
    keys = [table.image_column] if table.image_column is not None else [table.split_column, table.index_column]
    rows = read_table(path, [*filter(None, keys), table.group_column], table.separator, table.encoding)
    join, files = _joined(table, dataset_dir, allow_links)
    groups: dict[str, str] = {}
    for row in rows:
        key, group = _key(table, row), join(row, _pattern(table, row))
        if groups.setdefault(key, group) != group:
            raise UserError(f"{row.where}: puts an image into a second group; correct the table")
    return Groups(groups, (path, *files))


def _key(table: GroupTable, row: Row) -> str:
    if table.image_column is not None:
        return image_key(row[table.image_column])
    split, index = row[str(table.split_column)].casefold(), row[str(table.index_column)]
    if split not in _SPLITS or not index.isdigit():
        raise UserError(f"{row.where}: split {split!r} and index {index!r} are not a split and a whole number")
    return position_key(_SPLITS[split], int(index))


def _pattern(table: GroupTable, row: Row) -> str:
    value = row[table.group_column]
    match = re.search(table.group_pattern or "^(.+)$", value)
    if match is None:
        raise UserError(f"{row.where}: {table.group_column} is {value!r}, which names no group; correct table or card")
    return match[1]


def _joined(table: GroupTable, dataset_dir: Path, allow_links: bool) -> tuple[Callable[[Row, str], str], list[Path]]:
    """From what the first table says to the group, through the second table where there is one."""
    join = table.join
    if join is None:
        return lambda row, value: value, []
    path = find_file(dataset_dir, join.path, allow_links)
    if path is None:
        raise UserError(
            f"{dataset_dir}: has {table.path}, but not {join.path}, which it needs; add it, or move both away"
        )
    rows = read_table(path, [join.key_column, join.group_column], join.separator, table.encoding)
    second = {image_key(row[join.key_column]): row[join.group_column] for row in rows}

    def group(row: Row, value: str) -> str:
        if (key := image_key(value)) not in second:
            raise UserError(f"{row.where}: {value!r} is not in {path}; complete it")
        return second[key]

    return group, [path]
