"""Tables as CSV text: the one writer of every CSV file that an evaluation leaves.

It is the standard library's: pandas would write the same digits, and read rows of any kind into columns first.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence


def format_csv(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    r"""Write a header and rows as CSV: numbers in full precision, lines that end in a line feed.

    Example:
        >>> format_csv(["class", "auc"], [["a, b", 0.1]])
        'class,auc\n"a, b",0.1\n'
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()
