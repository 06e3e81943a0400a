"""Tables as CSV text: the one writer of every CSV file that an evaluation leaves, and its reader.

It is the standard library's: pandas would write the same digits, and read rows of any kind into columns first. What
spreadsheets would run is guarded here, since no library's writer does so in a way that can be read back.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

_CELL = r"(?:^|(?<=[;,\t\r\n]))"  # a spreadsheet may split a line at another sign than the writer
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_FORMULA = rf"(?=[\s\"']*(?!{_NUMBER}\s*(?:[;,\t\r\n]|\Z))[=+\-@＝＋－＠])"
_TO_GUARD = re.compile(_CELL + _FORMULA)
_GUARDED = re.compile(_CELL + "'" + _FORMULA)


def format_csv(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    r"""Write a header and rows as CSV: numbers in full precision, lines that end in a line feed.

    What a spreadsheet would run as a formula gets an apostrophe in front, see `guard_cell`.

    Example:
        >>> format_csv(["class", "auc"], [["a, b", 0.1], ["=1+1", -0.2]])
        'class,auc\n"a, b",0.1\n\'=1+1,-0.2\n'
    """
    return "".join(_format_row(row) for row in (header, *rows))


def parse_csv(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield the rows of a table that `format_csv` wrote, the header first, each cell with the very text it had.

    Args:
        lines: an open file (``newline=""``) or lines with their ends.

    Raises:
        csv.Error: it is no CSV.
    """
    for row in csv.reader(lines, strict=True):
        yield [restore_cell(cell) for cell in row]


def guard_cell(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula, wherever it may see a cell begin.

    Numbers stay as they are. `restore_cell` gives every text back.

    Example:
        >>> guard_cell("=cmd|' /C calc'!A0"), guard_cell("-0.5"), guard_cell("a;@b")
        ("'=cmd|' /C calc'!A0", '-0.5', "a;'@b")
    """
    return _TO_GUARD.sub("'", text)


def restore_cell(cell: str) -> str:
    """Return the text that `guard_cell` got.

    Example:
        >>> restore_cell("'=1+1"), restore_cell("'s")
        ('=1+1', "'s")
    """
    return _GUARDED.sub("", cell)


def _format_row(row: Sequence[object]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")  # a cell is quoted where it has a letter of the line's end
    writer.writerow([guard_cell(cell) if isinstance(cell, str) else cell for cell in row])
    return buffer.getvalue().removesuffix("\r\n") + "\n"
