"""Tables that come with images: read as text, with the columns that a card names.

Read by ``csv`` and not by pandas, which fills up short rows and takes ``"x"y`` for ``xy`` without a word, and counts
rows where a person with an editor counts lines.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from medmamba_monai.core.errors import UserError


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
        with path.open(encoding=encoding, newline="") as stream:
            reader = csv.reader(stream, delimiter=separator, strict=True)
            header = [name.strip() for name in next(reader, [])]
            wanted = [column.strip() for column in columns]
            _check_header(path, header, wanted, separator)
            places = {name: header.index(name) for name in wanted}
            rows = (cells for cells in reader if any(map(str.strip, cells)))
            return [_make_row(path, reader.line_num, header, places, cells) for cells in rows]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except LookupError as error:
        raise UserError(f"{path}: encoding {encoding!r} is not known; correct it in the card") from error
    except UnicodeError as error:
        raise UserError(f"{path}: is not text in {encoding} ({error}); name its encoding in the card") from error
    except csv.Error as error:
        raise UserError(f"{path}: is not a table with {separator!r} between the cells ({error})") from error


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
