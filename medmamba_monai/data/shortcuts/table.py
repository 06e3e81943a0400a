"""The facts of many images as one table of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medmamba_monai.data.shortcuts.facts import Facts
from medmamba_monai.images.origin import Fact

MAX_CATEGORIES = 32
"""The most frequent categories of a fact that are told apart; all others are one."""


@dataclass(frozen=True, eq=False)
class FactTable:
    """Facts of B images in K columns.

    Attributes:
        values: (B, K) float64, NaN where an image has no such fact; categories are numbers from 0.
        is_category: (K,) whether a column holds categories.
        names: name of each column's fact; a fact of several numbers has several columns.
    """

    values: NDArray[np.float64]
    is_category: NDArray[np.bool_]
    names: tuple[str, ...]

    @property
    def facts(self) -> tuple[str, ...]:
        """The names, each once."""
        return tuple(dict.fromkeys(self.names))

    def select(self, fact: str) -> FactTable:
        """Return the columns of one fact."""
        chosen = np.array([name == fact for name in self.names])
        return FactTable(self.values[:, chosen], self.is_category[chosen], (fact,) * int(chosen.sum()))


def build_table(rows: Sequence[Facts]) -> FactTable:
    """Lay facts out as numbers, in the order in which they come first; what never differs is left out."""
    columns, is_category, names = [], [], []
    for fact in dict.fromkeys(name for row in rows for name in row):
        cells = [row.get(fact) for row in rows]
        named = any(isinstance(cell, str) for cell in cells)
        for column in [_number_categories(cells)] if named else _spread_numbers(cells):
            if _varies(column):
                columns.append(column)
                is_category.append(named)
                names.append(fact)
    values = np.stack(columns, axis=1) if columns else np.empty((len(rows), 0))
    return FactTable(values, np.array(is_category, bool), tuple(names))


def _number_categories(cells: Iterable[Fact | None]) -> NDArray[np.float64]:
    texts = ["" if cell is None else str(cell) for cell in cells]
    ordered = sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0]))
    numbers = {text: min(place, MAX_CATEGORIES - 1) for place, (text, _) in enumerate(ordered)}
    return np.array([numbers[text] for text in texts], np.float64)


def _spread_numbers(cells: Sequence[Fact | None]) -> list[NDArray[np.float64]]:
    tuples = [cell if isinstance(cell, tuple) else () if cell is None else (float(cell),) for cell in cells]
    width = max(map(len, tuples))
    filled = np.array([[*numbers[:width], *[np.nan] * (width - len(numbers))] for numbers in tuples], np.float64)
    filled[~np.isfinite(filled)] = np.nan
    return list(filled.T)


def _varies(column: NDArray[np.float64]) -> bool:
    known = column[~np.isnan(column)]
    return bool(len(known)) and (len(known) < len(column) or bool((known != known[0]).any()))
