"""Samples: what is known of one image before anybody reads it."""

from __future__ import annotations

from dataclasses import dataclass

from medmamba_monai.cards.layouts import Split

Label = int | tuple[int, ...]
"""Index of the class; for a multi-label task a 0 or 1 for each class."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and what is known of it.

    Attributes:
        id: stable name, used wherever results are reported; never a path.
        image: file relative to the dataset folder, or ``file.npz#key[index]``.
        label: index of the class; for a multi-label task a 0 or 1 for each class.
        split: official split, None where there is none.
        group: samples of one group (a patient, a lesion, copies of one image) stay in one fold; None stands alone.
    """

    id: str
    image: str
    label: Label
    split: Split | None = None
    group: str | None = None


def list_labels(label: Label) -> list[int]:
    """Return the classes that an image has."""
    return [label] if isinstance(label, int) else [index for index, present in enumerate(label) if present]
