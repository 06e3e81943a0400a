"""Tags of a DICOM file that say which images belong together; they go into no list, log or model."""

from __future__ import annotations

from pathlib import Path

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.core.spelling import is_nobody
from medmamba_monai.images.dicom.header import blame_attribute
from medmamba_monai.images.dicom.open import open_dicom
from medmamba_monai.images.dicom.recognize import looks_like_dicom
from medmamba_monai.images.raw_image import Limits


def read_tag(path: Path, tag: str) -> str:
    """Return the text of one tag, without blanks around it; empty where the file has none.

    Args:
        path: a DICOM file.
        tag: its keyword, such as ``PatientID``.

    Raises:
        UserError: the file is missing, damaged or no DICOM.
    """
    if path.is_file() and not looks_like_dicom(path):
        raise UserError(f"{format_path(path)}: is no DICOM file, so it has no {tag}; move it away")
    with open_dicom(path, Limits(), [tag]) as file, blame_attribute(tag):
        return str(file.header.get(tag) or "").strip()


def read_group(path: Path, tag: str) -> str:
    """Return the group that a file belongs to.

    Raises:
        UserError: the file has no such tag.
    """
    value = read_tag(path, tag)
    if is_nobody(value):
        raise UserError(
            f"{format_path(path)}: has no {tag}, by which the card groups images; fill it in, or change the "
            "card's group_tag"
        )
    return value
