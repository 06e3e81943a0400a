"""Proposed columns of clinical records: numbers or categories, by what stands in the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.spelling import comparable, is_missing, is_nobody
from medmamba_monai.data.find.records import parse_number
from medmamba_monai.data.find.tables import Row

_MAX_CATEGORIES = 50
_TWO = 2
_ABBREVIATED = frozenset(("unk", "unknown", "not known", "missing"))


def propose_records(rows: Sequence[Row], columns: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Look at columns of a table.

    A column is a number where every value is one and there are more than two of them; else a category.

    Args:
        rows: all rows of the table.
        columns: names of the columns.

    Returns:
        The columns as a card has them, and a remark on each.

    Raises:
        UserError: a column is empty, or holds so many texts that it rather names than describes.
    """
    if len(set(columns)) < len(columns):
        raise UserError(f"--record-columns: names a column twice: {', '.join(columns)}")
    found = [_propose_column(rows, name) for name in columns]
    return [column for column, _ in found], [remark for _, remark in found]


def _propose_column(rows: Sequence[Row], name: str) -> tuple[dict[str, Any], str]:
    cells = [row[name] for row in rows]
    unknown = sorted({cell for cell in cells if _is_unknown(cell) and not is_missing(cell)})
    known = [cell for cell in cells if not _is_unknown(cell)]
    if not known:
        raise UserError(f"--record-columns {name}: {rows[0].path} has no value there; leave the column out")
    numbers = [number for cell in known if (number := parse_number(cell)) is not None]
    is_number = len(numbers) == len(known) and (len(set(numbers)) > _TWO or any(n % 1 for n in numbers))
    different = {comparable(cell): cell for cell in reversed(known)}
    if not is_number and len(different) > _MAX_CATEGORIES:
        raise UserError(
            f"--record-columns {name}: {rows[0].path} has {len(different)} different texts there; a column of "
            f"records holds numbers, or at most {_MAX_CATEGORIES} categories"
        )
    column: dict[str, Any] = {"name": name, "kind": "number" if is_number else "category"}
    if unknown:
        column["missing"] = unknown
    what = "a number" if is_number else f"a category ({', '.join(sorted(different.values()))})"
    also = f", such as {', '.join(map(repr, unknown))}" if unknown else ""
    return column, f"record {name}: {what}; missing in {len(cells) - len(known)} of {len(cells)} lines{also}"


def _is_unknown(cell: str) -> bool:
    return is_nobody(cell) or comparable(cell) in _ABBREVIATED
