"""Clinical records of samples, read from the table that a card names; what is missing stays missing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medmamba_monai.cards.card import DatasetCard
from medmamba_monai.cards.layouts import SPLIT_SPELLINGS, TableLayout
from medmamba_monai.cards.records import RecordColumn, Records, RecordValue
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.spelling import comparable, is_missing
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.found import SHORT, FoundData, quote_names
from medmamba_monai.data.find.group_tables import make_position_key
from medmamba_monai.data.find.image_index import ImageIndex
from medmamba_monai.data.find.tables import Row, read_table
from medmamba_monai.data.samples import Record, Sample

_SHORT = {spelling: SHORT[split] for split, spellings in SPLIT_SPELLINGS.items() for spelling in spellings}


@dataclass(frozen=True)
class _Place:
    """Where the records are: the table, what of it names an image, and what that leaves out of a file's name."""

    path: Path
    separator: str
    encoding: str
    names: tuple[str, ...]
    suffix: str = ""


def add_records(card: DatasetCard, folder: DatasetFolder, found: FoundData) -> FoundData:
    """Give each sample the record of its image; those that the table does not name get one without values.

    Args:
        card: the dataset.
        folder: where table and images are.
        found: the samples.

    Raises:
        UserError: the table or a column is missing, a cell does not fit its column (names the line), or two lines
            say different things of one image.
    """
    if card.records is None:
        return found
    place = _find_place(card, card.records, folder)
    reader = RecordReader(card.records.columns)
    records = _read(card, place, reader, folder, found.samples)
    blank: Record = (None,) * len(card.records.columns)
    samples = tuple(replace(sample, record=records.get(sample.image, blank)) for sample in found.samples)
    absent = sum(sample.image not in records for sample in samples)
    told = f"{absent} of {len(samples)} images have no line in {place.path.name}: their records are missing"
    return replace(
        found,
        samples=samples,
        ignored=tuple(text for text in found.ignored if folder.locate(text) != place.path),
        remarks=(*found.remarks, *([told] if absent else [])),
    )


class RecordReader:
    """Reads cells as their columns say; spellings of a category that only differ in case or blanks become one.

    Args:
        columns: of the records.
    """

    def __init__(self, columns: Sequence[RecordColumn]) -> None:
        self.columns = tuple(columns)
        self._missing = [set(map(comparable, column.missing)) for column in columns]
        self._spelled = [{comparable(name): name for name in column.categories} for column in columns]

    def read(self, row: Row) -> Record:
        """Return the values of a row, None where the cell says that there is none.

        Raises:
            UserError: a number's cell holds a text, or a category is none of those that the card lists.
        """
        return tuple(self._read_cell(number, row) for number in range(len(self.columns)))

    def _read_cell(self, number: int, row: Row) -> RecordValue:
        column = self.columns[number]
        cell = row[column.name]
        if is_missing(cell) or comparable(cell) in self._missing[number]:
            return None
        return _read_number(column, row, cell) if column.kind == "number" else self._read_category(number, row, cell)

    def _read_category(self, number: int, row: Row, cell: str) -> str:
        column, spelled = self.columns[number], self._spelled[number]
        if column.categories and comparable(cell) not in spelled:
            raise UserError(
                f"{row.where}: {column.name} is {cell!r}, the card lists {quote_names(column.categories)}; correct the "
                "table, or add it to the column's categories or to its missing values"
            )
        return spelled.setdefault(comparable(cell), cell)


def resolve_columns(records: Records | None, samples: Iterable[Sample]) -> tuple[RecordColumn, ...] | None:
    """Return the columns of the records, each category with the values that it has in the samples, sorted."""
    if records is None:
        return None
    rows = [sample.record for sample in samples if sample.record is not None]
    resolved = []
    for number, column in enumerate(records.columns):
        found = {value for row in rows if isinstance(value := row[number], str)}
        changes = {} if column.categories else {"categories": tuple(sorted(found))}
        resolved.append(column.model_copy(update=changes))
    return tuple(resolved)


def parse_number(text: str) -> float | None:
    """Return the finite number that a text is; None where it is none."""
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _read_number(column: RecordColumn, row: Row, cell: str) -> float:
    value = parse_number(cell)
    if value is None:
        raise UserError(
            f"{row.where}: {column.name} is {cell!r}, the card says that it is a number; correct the table, add the "
            "value to the column's missing values, or make the column a category"
        )
    return value


def _find_place(card: DatasetCard, records: Records, folder: DatasetFolder) -> _Place:
    layout = card.label_layout
    names: tuple[str, ...]
    if records.path is None:
        assert isinstance(layout, TableLayout)  # the card was checked
        name, names, suffix = layout.path, (layout.image_column,), layout.image_suffix
        separator, encoding = layout.separator, layout.encoding
    else:
        named = (records.image_column, records.split_column, records.index_column)
        name, names, suffix = records.path, tuple(filter(None, named)), ""
        separator, encoding = records.separator, records.encoding
    path = folder.find_named(name)
    if path is None:
        raise UserError(f"{folder}: has no {name}, the table of the card's records; add it, or correct the card")
    return _Place(path, separator, encoding, names, suffix)


def _read(
    card: DatasetCard, place: _Place, reader: RecordReader, folder: DatasetFolder, samples: Sequence[Sample]
) -> Mapping[str, Record]:
    columns = [*place.names, *(column.name for column in reader.columns)]
    rows = read_table(place.path, columns, place.separator, place.encoding)
    by_id = {sample.id: sample.image for sample in samples}
    wanted = set(by_id.values())
    index = None if len(place.names) > 1 else _make_index(card, place, folder)
    found: dict[str, tuple[Record, Row]] = {}
    for row in rows:
        images = [by_id.get(_read_position(place, row), "")] if index is None else _find_images(index, place, row)
        chosen = [image for image in images if image in wanted]
        record = reader.read(row) if chosen else ()
        for image in chosen:
            before, first = found.setdefault(image, (record, row))
            if before != record:
                raise UserError(f"{row.where}: says another thing of an image than line {first.line}; correct one")
    return {image: record for image, (record, _) in found.items()}


def _make_index(card: DatasetCard, place: _Place, folder: DatasetFolder) -> ImageIndex:
    images = folder.list_images(None, card.spatial_dims, card.every_frame).images
    return ImageIndex(images, folder, place.path.parent)


def _find_images(index: ImageIndex, place: _Place, row: Row) -> list[str]:
    return [image.text for image in index.find_copies(row.where, row[place.names[0]] + place.suffix)]


def _read_position(place: _Place, row: Row) -> str:
    split, number = (row[name] for name in place.names)
    if split.casefold() not in _SHORT or not number.isdecimal():
        raise UserError(f"{row.where}: split {split!r} and index {number!r} are not a split and a whole number")
    return make_position_key(_SHORT[split.casefold()], int(number))
