"""Proposed cards of volumes in patches: what is seen of them without decoding any as a whole, and how they are cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from medmamba_monai.cards.parts import OVERVIEW
from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.image_files import describe_others
from medmamba_monai.data.propose.first_look import FirstLook, open_some
from medmamba_monai.images.layered_volume import read_overview
from medmamba_monai.images.raw_image import ImageFacts, Limits, describe_raw_image


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
    return open_some(folder, 3, listing, _describe, "volumes in patches")


def _describe(path: Path) -> ImageFacts:
    return replace(describe_raw_image(read_overview(path, OVERVIEW, Limits())), spacing=None)
