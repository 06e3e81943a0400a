"""Tables of groups: which images belong to one patient, lesion or scan."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medmamba_monai.cards.layouts import SPLIT_SPELLINGS, GroupTable
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.core.spelling import comparable, is_nobody
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.found import SHORT
from medmamba_monai.data.find.image_files import ImageFile
from medmamba_monai.data.find.image_index import ImageIndex, normalize_name
from medmamba_monai.data.find.tables import Row, read_table

_SHORT = {spelling: SHORT[split] for split, spellings in SPLIT_SPELLINGS.items() for spelling in spellings}


@dataclass(frozen=True)
class Groups:
    """A table of groups, read.

    Attributes:
        table: how the card describes it.
        rows: its rows, each with the group that it names.
        files: the tables that were read.
    """

    table: GroupTable
    rows: tuple[tuple[Row, str], ...]
    files: tuple[Path, ...]

    def by_position(self) -> dict[str, str]:
        """Return the group of each image of an npz file, by `make_position_key`.

        Raises:
            UserError: a row names no place, or an image is in two groups.
        """
        found: dict[str, str] = {}
        for row, group in self.rows:
            _add(found, _read_position(self.table, row), row, group)
        return found

    def by_image(self, images: Sequence[ImageFile], folder: DatasetFolder) -> dict[str, str]:
        """Return the group of each image, by its ``text``; rows of images that are not there are left out.

        Raises:
            UserError: a row fits images that differ, an image is in two groups, or one has no row.
        """
        index = ImageIndex(images, folder, self.files[0].parent)
        found: dict[str, str] = {}
        for row, group in self.rows:
            for image in index.find_copies(row.where, row[str(self.table.image_column)]):
                _add(found, image.text, row, group)
        if missing := next((image for image in images if image.text not in found), None):
            name = format_path(folder.locate(missing.text))
            raise UserError(f"{self.files[0]}: has no row for {name}; complete it")
        return found


def make_position_key(split: str, index: int) -> str:
    """Return what an image of an npz file is called: its split and its number."""
    return f"{split}-{index:05d}"


def read_groups(table: GroupTable, folder: DatasetFolder) -> Groups | None:
    """Read the table of groups.

    Returns:
        The groups; None where the table is not there and may be missing.

    Raises:
        UserError: a table is missing or does not fit, or a row names no group.
    """
    path = folder.find_named(table.path)
    if path is None:
        if table.required:
            raise UserError(f"{folder}: has no {table.path}, which tells which images belong together")
        return None
    keys = [table.image_column] if table.image_column is not None else [table.split_column, table.index_column]
    rows = read_table(path, [*filter(None, keys), table.group_column], table.separator, table.encoding)
    join, files = _read_join(table, folder)
    return Groups(table, tuple((row, join(row, _read_group(table, row))) for row in rows), (path, *files))


def _add(found: dict[str, str], key: str, row: Row, group: str) -> None:
    if comparable(found.setdefault(key, group)) != comparable(group):
        raise UserError(f"{row.where}: puts an image into a second group; correct the table")


def _read_position(table: GroupTable, row: Row) -> str:
    split, index = row[str(table.split_column)].casefold(), row[str(table.index_column)]
    if split not in _SHORT or not index.isdecimal():
        raise UserError(f"{row.where}: split {split!r} and index {index!r} are not a split and a whole number")
    return make_position_key(_SHORT[split], int(index))


def _read_group(table: GroupTable, row: Row) -> str:
    value = row[table.group_column]
    match = re.search(table.group_pattern or "^(.+)$", value)
    if match is None or is_nobody(match[1] or ""):
        raise UserError(f"{row.where}: {table.group_column} is {value!r}, which names no group; correct table or card")
    return match[1]


def _read_join(table: GroupTable, folder: DatasetFolder) -> tuple[Callable[[Row, str], str], list[Path]]:
    """Return what leads from the first table to the group, through the second table where there is one."""
    join = table.join
    if join is None:
        return lambda row, value: value, []
    path = folder.find_named(join.path)
    if path is None:
        raise UserError(f"{folder}: has {table.path}, but not {join.path}, which it needs; add it, or move both away")
    second: dict[str, str] = {}
    for row in read_table(path, [join.key_column, join.group_column], join.separator, table.encoding):
        if is_nobody(row[join.group_column]):
            raise UserError(f"{row.where}: has no {join.group_column} ({row[join.group_column]!r}); complete it")
        _add(second, normalize_name(row[join.key_column]), row, row[join.group_column])

    def group(row: Row, value: str) -> str:
        if (key := normalize_name(value)) not in second:
            raise UserError(f"{row.where}: {value!r} is not in {path}; complete it")
        return second[key]

    return group, [path]
