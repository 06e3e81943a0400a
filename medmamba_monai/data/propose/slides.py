"""Proposed cards of slides: what is seen of them without decoding any as a whole, and how they are cut."""

from __future__ import annotations

from typing import Any

from medmamba_monai.cards.parts import THUMBNAIL
from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.image_files import describe_others
from medmamba_monai.data.propose.first_look import FirstLook, spread
from medmamba_monai.images.read import ReadImage
from medmamba_monai.images.slides.open import SLIDE_SUFFIXES


def look_at_slides(folder: DatasetFolder) -> FirstLook:
    """Open some of the slides in a folder.

    Raises:
        UserError: there are none, or one cannot be opened.
    """
    if not folder.exists():
        raise UserError(f"--images {folder}: there is no such folder")
    listing = folder.list_images(slides=True)
    if not listing.images:
        said = describe_others(folder.root, listing.others).partition("; readable")[0]
        raise UserError(f"--images {folder}: holds no slide, which are known by {', '.join(SLIDE_SUFFIXES)}; {said}")
    opened = spread(listing.images)
    read = ReadImage(3, thumbnail=THUMBNAIL)
    facts = tuple(read.read_with_facts(folder.locate(image.source))[1] for image in opened)
    remarks = (f"{len(listing.images)} slides; {len(facts)} were opened",)
    return FirstLook(folder, 2, listing, opened, facts, remarks)


def propose_slides_layout(labels: dict[str, Any], tiling: dict[str, Any]) -> dict[str, Any]:
    """Return the layout of slides whose labels stand as a layout of images says.

    Args:
        labels: layout that says where slides and labels are.
        tiling: how slides are cut, as a user says.
    """
    return {"kind": "slides", "labels": labels, "tiling": tiling}
