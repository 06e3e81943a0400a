"""Counts of images by split and class, compared with those of the card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medmamba_monai.cards.card import DatasetCard
from medmamba_monai.cards.parts import ExpectedCount
from medmamba_monai.core.errors import UserError
from medmamba_monai.data.samples import Label, Sample, list_labels


def count_labels(card: DatasetCard, rows: Iterable[tuple[str, Label]]) -> dict[str, dict[str, int]]:
    """Return the images of each class in each row, rows in the order in which they come first."""
    counts: dict[str, Counter[int]] = {}
    for row, label in rows:
        counts.setdefault(row, Counter()).update(list_labels(label))
    return {row: {name: found[index] for index, name in enumerate(card.class_names)} for row, found in counts.items()}


def check_counts(card: DatasetCard, samples: Sequence[Sample], allow: bool) -> list[str]:
    """Compare the counts with the card's, or with those of another version that the card accepts.

    Args:
        card: the dataset.
        samples: what was found.
        allow: whether differences are returned instead of raised.

    Returns:
        A line for each difference; none where a version fits.

    Raises:
        UserError: no version fits; prints expected beside found.
    """
    differences = _compare(card, card.expected_counts, samples)
    if not differences:
        return []
    for version, expected in card.other_versions.items():
        if not _compare(card, expected, samples):
            print(f"{card.name}: these are the images of version {version}")
            return []
    if allow:
        return differences
    others = f" (nor those of {', '.join(card.other_versions)})" if card.other_versions else ""
    raise UserError(
        f"{card.name}: the images are not those that the card counts{others}:\n  "
        + "\n  ".join(differences)
        + "\nComplete the data, or pass --allow_count_mismatch True to go on and have it recorded"
    )


def _compare(card: DatasetCard, counts: Mapping[Any, ExpectedCount], samples: Sequence[Sample]) -> list[str]:
    differences = []
    for split, expected in counts.items():
        chosen = [sample for sample in samples if split in (sample.split, "all")]
        of_class = count_labels(card, ((split, sample.label) for sample in chosen)).get(split, {})
        rows = {"images": expected.images} | (expected.classes or {})
        found = {"images": len(chosen)} | {name: of_class.get(name, 0) for name in expected.classes or {}}
        differences += [
            f"{split}, {row}: expected {rows[row]}, found {found[row]}" for row in rows if rows[row] != found[row]
        ]
    return differences
