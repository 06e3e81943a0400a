"""A table once, for the terminal, for Markdown and for a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medmamba_monai.core.errors import UserError


@dataclass(frozen=True)
class Table:
    """A table: the first column is text, the others are figures, aligned to the right.

    Raises:
        UserError: on creation, where a row has another number of cells than the header.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise UserError(f"a row of the table {self.caption!r} has {len(row)} cells, not {len(self.header)}")

    @property
    def text(self) -> str:
        """The table for a terminal."""
        lines = [self.header, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.header))]
        laid = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines]
        return "\n".join([laid[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *laid[1:]]) + "\n"

    @property
    def markdown(self) -> str:
        """The table in Markdown."""
        lines = [self.header, ["---", *["---:"] * (len(self.header) - 1)], *self.rows]
        return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines) + "\n"
