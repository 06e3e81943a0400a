"""Proposed cards of volumes in patches: what is seen of them without decoding any as a whole, and how they are cut."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from medmamba_monai.cards.parts import OVERVIEW
from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.image_files import describe_others
from medmamba_monai.data.propose.first_look import FirstLook, spread
from medmamba_monai.images.layered_volume import read_overview
from medmamba_monai.images.raw_image import Limits, describe_raw_image


def look_at_patched(folder: DatasetFolder) -> FirstLook:
    """Open some of the volumes in a folder.

    The size of their voxels is left out: patches have the size that the card declares.

    Raises:
        UserError: there are none, or one cannot be opened.
    """
    if not folder.exists():
        raise UserError(f"--images {folder}: there is no such folder")
    listing = folder.list_images(None, 3)
    if not listing.images:
        raise UserError(f"--images {folder}: holds no volume; {describe_others(folder.root, listing.others)}")
    opened = spread(listing.images)
    raws = (read_overview(folder.locate(image.source), OVERVIEW, Limits()) for image in opened)
    facts = tuple(replace(describe_raw_image(raw), spacing=None) for raw in raws)
    remarks = (f"{len(listing.images)} volumes in patches; {len(facts)} were opened",)
    return FirstLook(folder, 3, listing, opened, facts, remarks)


def propose_patches_layout(labels: dict[str, Any], patching: dict[str, Any]) -> dict[str, Any]:
    """Return the layout of volumes in patches whose labels stand as a layout of images says.

    Args:
        labels: layout that says where volumes and labels are.
        patching: how volumes are cut, as a user says.
    """
    return {"kind": "patches", "labels": labels, "patching": patching}
