"""Tables that come with images: read as text, with the columns that a card names.

Read by ``csv`` and not by pandas, which fills up short rows and takes ``"x"y`` for ``xy`` without a word, and counts
rows where a person with an editor counts lines.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from medmamba_monai.core.errors import UserError

_HEAD = 64
_OTHER_FILES = {
    b"pk\x03\x04": "an Excel file",
    b"\xd0\xcf\x11\xe0": "an Excel file",
    b"<?xml": "an XML file, as Excel writes them",
    b"<html": "an HTML page, whatever its name says",
    b"<!doctype html": "an HTML page, whatever its name says",
    b"<table": "an HTML page, whatever its name says",
    b"\x1f\x8b": "compressed by gzip",
    b"par1": "a Parquet file",
    b"sqlite format 3": "a SQLite database",
    b"$fl2": "an SPSS file",
    b"%pdf": "a PDF document",
    b"{\\rtf": "a document of a word processor",
}
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        path: the file.
        line: where the row ends in it.
        cells: text of each column that was asked for by its name; neither has blanks around it.
    """

    path: Path
    line: int
    cells: dict[str, str]

    @property
    def where(self) -> str:
        """The file and the line, for errors."""
        return f"{self.path}, line {self.line}"

    def __getitem__(self, column: str) -> str:
        return self.cells[column.strip()]


def read_table(path: Path, columns: Iterable[str], separator: str = ",", encoding: str = "utf-8-sig") -> list[Row]:
    """Read a table with a header.

    Args:
        path: the file.
        columns: names that must be there; blanks around a name do not count.
        separator: what stands between two cells.
        encoding: of the text; ``utf-8-sig`` takes UTF-8 with and without a byte-order mark.

    Raises:
        UserError: it cannot be read, lacks a column, or has a row of another length.
    """
    try:
        refuse_other_files(path)
        with path.open(encoding=encoding, newline="") as stream:
            skipped = 0 if skip_separator_line(stream) is None else 1
            reader = csv.reader(stream, delimiter=separator, strict=True)
            header = [name.strip() for name in next(reader, [])]
            wanted = [column.strip() for column in columns]
            _check_header(path, header, wanted, separator)
            places = {name: header.index(name) for name in wanted}
            rows = (cells for cells in reader if any(map(str.strip, cells)))
            return [_make_row(path, skipped + reader.line_num, header, places, cells) for cells in rows]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except LookupError as error:
        raise UserError(f"{path}: encoding {encoding!r} is not known; correct it in the card") from error
    except UnicodeError as error:
        raise UserError(f"{path}: is not text in {encoding} ({error}); name its encoding in the card") from error
    except csv.Error as error:
        raise UserError(f"{path}: is not a table with {separator!r} between the cells ({error})") from error


def refuse_other_files(path: Path) -> None:
    """Refuse what is called a table and is no text, by its first bytes.

    Raises:
        UserError: it is a file of a spreadsheet or another program; says what to do.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD).lstrip().lower()
    for signature, what in _OTHER_FILES.items():
        if head.startswith(signature):
            raise UserError(f"{path}: is {what}; save it as CSV (UTF-8)")


def skip_separator_line(stream: TextIO) -> str | None:
    """Read over a first line ``sep=;``, which Excel takes for no row; return the separator that it names.

    Args:
        stream: the table, at its beginning.
    """
    if match := _SEPARATOR_LINE.fullmatch(stream.readline()):
        return match[1]
    stream.seek(0)
    return None


def _check_header(path: Path, header: list[str], wanted: list[str], separator: str) -> None:
    if missing := [column for column in wanted if column not in header]:
        raise UserError(
            f"{path}: has no column {missing[0]!r}; it has {', '.join(map(repr, header)) or 'none'} (read with "
            f"{separator!r} between the cells)"
        )
    if twice := [column for column in wanted if header.count(column) > 1]:
        raise UserError(f"{path}: has the column {twice[0]!r} more than once; rename one")


def _make_row(path: Path, line: int, header: list[str], places: dict[str, int], cells: list[str]) -> Row:
    if len(cells) != len(header):
        raise UserError(f"{path}, line {line}: has {len(cells)} cells, the header has {len(header)}; correct it")
    return Row(path, line, {name: cells[place].strip() for name, place in places.items()})
