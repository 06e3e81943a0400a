"""A test part for a dataset that has no official one: whole groups, stratified, kept out before the folds are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.folds.make import assign_parts, count_groups_per_class, name_marks
from medmamba_monai.data.samples import Sample

LARGEST_SHARE = 0.5
_MOST_PARTS = 20
_TOLERANCE = 0.1
"""How far the share kept out may be from the one asked for, where few groups have a class."""


def hold_out_test(samples: Sequence[Sample], share: float, seed: int, class_names: Sequence[str]) -> list[Sample]:
    """Return the samples with the split ``test`` for a share of them; no group is divided and no class is missing.

    The samples are divided into up to 20 parts, stratified, and as many of these are kept out as come nearest to the
    share.

    Args:
        samples: all samples of a dataset without an official test split, groups joined.
        share: of the samples to keep out, above 0 and at most 0.5.
        seed: of the drawing, its own: folds of another seed are tested on the same images.
        class_names: names in label order.

    Raises:
        UserError: the share is out of its range, there is an official test split, or a class has too few groups.
    """
    _check(samples, share, seed)
    available = min(count_groups_per_class(samples, len(class_names)))
    for part in _list_fractions(share, min(available, _MOST_PARTS)):
        assigned = assign_parts(samples, part.denominator, seed, len(class_names))
        if assigned is not None:
            return _mark(samples, assigned < part.numerator)
    groups = count_groups_per_class(samples, len(class_names))
    fewest, rarest = min(zip(groups, name_marks(samples, class_names), strict=True))
    raise UserError(
        f"hold_out: {share:g} of the images cannot be kept out with every class on both sides: class {rarest!r} has "
        f"{fewest} separate images or groups; add images, or choose a share nearer to 0.5"
    )


def _check(samples: Sequence[Sample], share: float, seed: int) -> None:
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= LARGEST_SHARE:
        raise UserError(f"hold_out: must be a number above 0 and at most {LARGEST_SHARE}, found {share!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise UserError(f"hold_out_seed: must be a whole number from 0 to 2**32 - 1, found {seed!r}")
    if any(sample.split == "test" for sample in samples):
        raise UserError(f"hold_out: {share:g} is asked for, but there is an official test set; leave the option out")


def _list_fractions(share: float, most_parts: int) -> list[Fraction]:
    """Return the fractions near a share that so many parts can give: the nearest first, of equal ones the simplest."""
    known = {Fraction(part, parts) for parts in range(2, most_parts + 1) for part in range(1, parts // 2 + 1)}
    near = [fraction for fraction in known if abs(fraction - share) <= _TOLERANCE]
    return sorted(near, key=lambda fraction: (abs(float(fraction) - share), fraction.denominator))


def _mark(samples: Sequence[Sample], held_out: np.ndarray) -> list[Sample]:
    return [
        replace(sample, split="test" if out else sample.split or "train")
        for sample, out in zip(samples, held_out, strict=True)
    ]
