"""What a listener reads of the header of an image: who belongs to whom, never shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.dicom.header import blame_attribute
from medmamba_monai.images.dicom.open import open_dicom
from medmamba_monai.images.raw_image import Limits

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_OF_PATIENT = ("PatientID", "IssuerOfPatientID", "PatientName")


@dataclass(frozen=True)
class Header:
    """Identity of an instance.

    Attributes:
        has_pixels: whether it is an image.
    """

    study: str
    series: str
    instance: str
    sop_class: str
    has_pixels: bool


def read_header(path: Path) -> Header:
    """Read what instance a file is.

    Raises:
        UserError: it is damaged.
    """
    with open_dicom(path, Limits(), list(_UIDS)) as file:
        study, series, instance, sop_class = (_read_text(file.header, tag) for tag in _UIDS)
        return Header(study, series, instance, sop_class, file.pixels is not None)


def check_one_patient(images: list[Path]) -> None:
    """Check that images are of one patient.

    Raises:
        UserError: they are not, or one is damaged.
    """
    if len({_read_patient(path) for path in images}) > 1:
        raise UserError("images of several patients came under one Study Instance UID; correct them in the PACS")


def _read_patient(path: Path) -> tuple[str, ...]:
    """Return the ID and who gave it; of a patient without an ID the name."""
    with open_dicom(path, Limits(), list(_OF_PATIENT)) as file:
        values = tuple(_read_text(file.header, tag) for tag in _OF_PATIENT)
    return values[:2] if values[0] else values


def _read_text(header: Dataset, tag: str) -> str:
    with blame_attribute(tag):
        return str(header.get(tag) or "").strip("\0 ")
