"""Proposed cards of slides: what is seen of them without decoding any as a whole, and how they are cut."""

from __future__ import annotations

from medmamba_monai.cards.parts import THUMBNAIL
from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.image_files import describe_others
from medmamba_monai.data.propose.first_look import FirstLook, open_some
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
    read = ReadImage(3, thumbnail=THUMBNAIL)
    return open_some(folder, 2, listing, lambda path: read.read_with_facts(path)[1], "slides")
