"""Proposed rules of reading: range, background, frames; each with the reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np

from medmamba_monai.cards.card import DatasetCard
from medmamba_monai.core.errors import UserError
from medmamba_monai.data.prepare.inspect import find_stored_range, uses_little
from medmamba_monai.data.propose.first_look import FirstLook
from medmamba_monai.images.kinds import count_frames
from medmamba_monai.images.raw_image import ImageFacts
from medmamba_monai.images.read import ReadImage

_EIGHT_BITS = (0.0, 255.0)
_ALIKE = 1.1
"""Up to this ratio of the longest to the shortest side of any voxel, nothing is said."""


def propose_reading(look: FirstLook, given: dict[str, Any], remarks: list[str]) -> dict[str, Any]:
    """Propose the card's ``reading``.

    Args:
        look: what the images are.
        given: fields that a user has chosen.
        remarks: gets a sentence for each decision.
    """
    kinds = Counter(fact.kind for fact in look.facts)
    remarks.append("kinds: " + ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common(5)))
    reading: dict[str, Any] = {}
    if any(fact.transparent for fact in look.facts) and "background" not in given:
        reading["background"] = 0
        remarks.append(
            "some images are transparent: they are laid on black; --background chooses another gray or color"
        )
    if look.spatial_dims == 2 and any(fact.frames > 1 for fact in look.facts) and "frame" not in given:
        reading["frame"] = "all"
        remarks.append("some files have several frames: each is an image, kept in one fold with the others of its file")
    if look.spatial_dims == 3 and "field_of_view" not in given:
        remarks += _explain_spacing(look)
    if not {"window", "intensity_range"} & given.keys():
        reading |= _propose_range(look, remarks)
    return reading | given


def _explain_spacing(look: FirstLook) -> list[str]:
    """Return what a user should know of voxels that are no cubes, or not the same in all volumes."""
    spacings = [fact.spacing for fact in look.facts if fact.spacing is not None]
    if not spacings:
        return []
    least, most = np.min(spacings, axis=0), np.max(spacings, axis=0)
    if most.max() <= _ALIKE * least.min():
        return []
    sides = zip(least, most, strict=True)
    ranges = " x ".join(f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}" for low, high in sides)
    return [
        f"voxels are {ranges} mm: each volume is scaled as a whole, so that shapes and sizes are not those "
        "of the body; --field-of-view MM shows the same millimetres around the center of each"
    ]


def _propose_range(look: FirstLook, remarks: list[str]) -> dict[str, Any]:
    """Return one range for all images where their files do not say, or not all alike, how they look."""
    windowed = sum(fact.has_own_window for fact in look.facts)
    if windowed == len(look.facts):
        return {}
    low, high = find_stored_range(look.facts)
    if windowed:
        remarks.append(
            f"{windowed} of {len(look.facts)} images have a DICOM window of their own and the others none, so they "
            "would be scaled by different rules: one range is declared for all"
        )
    elif not _needs_range(look, low, high):
        remarks += _explain_full_range(look)
        return {}
    remarks.append(
        f"stored values are {low:g} to {high:g} in the images opened: they become 0 to 255, others are clipped; "
        "--intensity_range chooses another range, such as -160 240 for abdominal CT"
    )
    return {"intensity_range": [low, high], "clip": True}


def _needs_range(look: FirstLook, low: float, high: float) -> bool:
    """Return whether values need a declared range, since they have no other or use little of it."""
    if any(fact.needs_range for fact in look.facts):
        return True
    by_depth: dict[tuple[float, float], list[ImageFacts]] = defaultdict(list)
    for fact in look.facts:
        by_depth[fact.nominal or _EIGHT_BITS].append(fact)
    if len(by_depth) == 1:
        return uses_little(low, high, next(iter(by_depth)))
    dicom = any(fact.format == "DICOM" for fact in look.facts)
    dark = [full for full, facts in by_depth.items() if uses_little(*find_stored_range(facts), full)]
    if dark or (dicom and _EIGHT_BITS in by_depth):
        counts = ", ".join(f"{full[0]:g} to {full[1]:g}: {len(facts)}" for full, facts in sorted(by_depth.items()))
        raise UserError(
            f"--images {look.folder}: files can hold different ranges ({counts} files), and some use little of "
            "theirs, so they would come out darker than the others; convert all to one depth"
        )
    return dicom


def _explain_full_range(look: FirstLook) -> list[str]:
    """Return what a user should know where each image is scaled by the full range of its type."""
    nominal = sorted({fact.nominal for fact in look.facts if fact.nominal is not None})
    if nominal in ([], [_EIGHT_BITS]):
        return []
    if len(nominal) > 1:
        return ["files of different bit depths: each is scaled by the full range of its own type"]
    least, most = nominal[0]
    window = "no window in the files: " if look.facts[0].format == "DICOM" else ""
    return [
        f"{window}their full range, {least:g} to {most:g}, becomes 0 to 255; --window CENTER WIDTH or "
        "--intensity_range LOW HIGH shows less of it, with more contrast"
    ]


def try_reading(card: DatasetCard, look: FirstLook) -> None:
    """Read what was opened as the card says, so that what it still lacks is said before it is written.

    Raises:
        UserError: an image cannot be read so.
    """
    read = ReadImage(**card.reading_arguments())
    for image in look.opened:
        path = look.path(image)
        several = card.reading.frame == "all" and count_frames(path) > 1
        read(f"{path}#frame[0]" if several else str(path))
