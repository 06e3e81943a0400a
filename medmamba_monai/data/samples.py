"""Samples: what is known of one image before anybody reads it."""

from __future__ import annotations

from dataclasses import dataclass

from medmamba_monai.cards.layouts import Split
from medmamba_monai.cards.records import RecordValue

Label = int | tuple[int, ...]
"""Index of the class; for a multi-label task a 0 or 1 for each class."""

Record = tuple[RecordValue, ...]
"""What is known of one image beside its pixels, in the order of the card's columns; None where a value is missing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and what is known of it.

    Attributes:
        id: stable name, used wherever results are reported; never a path.
        image: file relative to the dataset folder, or ``file.npz#key[index]``.
        label: index of the class; for a multi-label task a 0 or 1 for each class.
        split: official split, None where there is none.
        group: samples of one group (a patient, a lesion, copies of one image) stay in one fold; None stands alone.
        record: clinical values, in the order of the card's columns; None where the card declares no records.
    """

    id: str
    image: str
    label: Label
    split: Split | None = None
    group: str | None = None
    record: Record | None = None


def list_labels(label: Label) -> list[int]:
    """Return the classes that an image has."""
    return [label] if isinstance(label, int) else [index for index, present in enumerate(label) if present]
