"""The clinical records of a prepared dataset in numbers and words; no value of a single image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from medmamba_monai.data.folds.fold_list import FoldList


def describe_records(folds: FoldList) -> dict[str, dict[str, Any]]:
    """Count what each column of the records holds.

    Returns:
        For each column its ``kind``, ``unit``, how many images have it ``missing``, and how many have each of its
        ``categories``; nothing of a list without records.
    """
    items = (*folds.training, *folds.test)
    found: dict[str, dict[str, Any]] = {}
    for number, column in enumerate(folds.records or ()):
        values = [item.record[number] for item in items if item.record is not None]
        counts = Counter(value for value in values if isinstance(value, str))
        found[column.name] = {
            "kind": column.kind,
            "unit": column.unit,
            "missing": values.count(None),
            "categories": {name: counts[name] for name in column.categories},
        }
    return found


def find_only_in_test(folds: FoldList) -> dict[str, list[str]]:
    """Find categories that a test part has and its training part has not.

    Returns:
        For each column with such categories their names; without test images that no fold has, each fold is one.
    """
    found: dict[str, list[str]] = {}
    for number, column in enumerate(folds.records or ()):
        held = [(item.fold, item.record[number]) for item in folds.training if item.record is not None]
        tested = {item.record[number] for item in folds.test if item.record is not None}
        if folds.has_test_set:
            alone = tested - {value for _, value in held}
        else:
            places = {value: {fold for fold, other in held if other == value} for _, value in held}
            alone = {value for value, in_folds in places.items() if len(in_folds) == 1}
        if names := sorted(value for value in alone if isinstance(value, str)):
            found[column.name] = names
    return found


def format_records(described: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line on the records for the terminal; none where there are none."""
    columns = [
        f"{name} ({found['kind']}{', ' + found['unit'] if found['unit'] else ''}, {found['missing']} missing)"
        for name, found in described.items()
    ]
    return [f"records: {', '.join(columns)}"] if columns else []
