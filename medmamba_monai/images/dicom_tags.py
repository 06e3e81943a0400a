"""The few tags of a DICOM file that say which images belong together; they go into no list, log or model."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from medmamba_monai.errors import UserError


def read_tag(path: Path, tag: str) -> str:
    """The text of one tag, without blanks around it; empty where the file has none.

    Args:
        path: a DICOM file.
        tag: its keyword, such as ``PatientID``.

    Raises:
        UserError: the file cannot be read as DICOM.
    """
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[tag])
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (InvalidDicomError, ValueError, EOFError) as error:
        raise UserError(f"{path}: is no DICOM file, so it has no {tag}; move it away") from error
    return str(dataset.get(tag) or "").strip()


def group_by_tag(path: Path, tag: str) -> str:
    """The group that a file belongs to.

    Raises:
        UserError: the file has no such tag.
    """
    value = read_tag(path, tag)
    if not value:
        raise UserError(
            f"{path}: has no {tag}, by which the card groups images; fill it in, or change the card's group_tag"
        )
    return value
