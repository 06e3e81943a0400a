"""Tables once, for the terminal, for Markdown and for a report.

Columns are aligned by tabulate. The Markdown is our own: tabulate pads its cells, and the files that runs left before
would differ from those made now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate

from medmamba_monai.core.errors import UserError


@dataclass(frozen=True)
class Table:
    """A table: its first columns are text, the others are figures, aligned to the right.

    Attributes:
        header: names of the columns.
        rows: cells of each line.
        caption: above the table in a report.
        text_columns: how many columns are text.

    Raises:
        UserError: on creation, where a row has another number of cells than the header.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    text_columns: int = 1

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise UserError(f"a row of the table {self.caption!r} has {len(row)} cells, not {len(self.header)}")

    @property
    def text(self) -> str:
        """The table for a terminal."""
        header, *lines = align_columns([self.header, *self.rows], "right", self.text_columns)
        rule = "-" * max(map(len, (header, *lines)))
        return "\n".join([header, rule, *lines]) + "\n"

    @property
    def markdown(self) -> str:
        """The table in Markdown."""
        figures = len(self.header) - self.text_columns
        lines = [self.header, [*["---"] * self.text_columns, *["---:"] * figures], *self.rows]
        return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines) + "\n"


def align_columns(rows: Sequence[Sequence[str]], numbers: str, text_columns: int = 1) -> list[str]:
    """Lay rows out in columns, two blanks apart.

    Args:
        rows: cells, whose own blanks are kept.
        numbers: how all columns but the first ones are aligned: ``left`` or ``right``.
        text_columns: how many these first ones are; they are aligned to the left.

    Returns:
        A line for each row, without blanks at its end.
    """
    alignment = [*["left"] * text_columns, *[numbers] * (len(rows[0]) - text_columns)]
    text = tabulate(rows, tablefmt="plain", colalign=alignment, disable_numparse=True, preserve_whitespace=True)
    return text.split("\n")
