"""Where a DICOM image comes from: scanner and site as digests of their tags, and how it was taken, as numbers."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset

from medmamba_monai.images.dicom.header import BrokenAttributeError, get_functional_group
from medmamba_monai.images.file_errors import BAD_CONTENT
from medmamba_monai.images.origin import Fact, Origin, digest_text

_TEXTS = {
    "manufacturer": "Manufacturer",
    "scanner model": "ManufacturerModelName",
    "scanner serial number": "DeviceSerialNumber",
    "scanner software": "SoftwareVersions",
    "station": "StationName",
    "institution": "InstitutionName",
    "department": "InstitutionalDepartmentName",
    "view position": "ViewPosition",
    "modality": "Modality",
    "mode": "PhotometricInterpretation",
}
_NUMBERS = {
    "slice thickness": "SliceThickness",
    "tube voltage": "KVP",
    "field strength": "MagneticFieldStrength",
    "lossy compression ratio": "LossyImageCompressionRatio",
}
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")

_UNREADABLE: tuple[type[Exception], ...] = (BrokenAttributeError, *BAD_CONTENT)

ORIGIN_TAGS = [*_TEXTS.values(), *_NUMBERS.values(), *_SPACINGS]
"""The tags that are read; none is of the patient."""


def describe_origin(header: Dataset, index: int) -> Origin:
    """Return the facts of a frame; no text of the file is among them, and what is damaged is left out."""
    facts: dict[str, Fact] = {"format": "DICOM", "compression": str(header.file_meta.get("TransferSyntaxUID"))}
    for name, tag in _TEXTS.items():
        if (text := _read(header, tag)) is not None:
            facts[name] = digest_text(text)
    for name, tag in _NUMBERS.items():
        if (numbers := _read_numbers(header, tag)) is not None:
            facts[name] = numbers[0]
    measures = _find_measures(header, index)
    spacings = (_read_numbers(item, tag) for tag in _SPACINGS for item in (measures, header))
    if spacing := next((found for found in spacings if found), None):
        facts["pixel spacing"] = spacing[:2]
    return facts


def _find_measures(header: Dataset, index: int) -> Dataset:
    try:
        return get_functional_group(header, index, "PixelMeasuresSequence") or header
    except _UNREADABLE:
        return header


def _read(header: Dataset, tag: str) -> Any:
    try:
        value = header.get(tag)
        return None if value is None or str(value).strip() == "" else value
    except BAD_CONTENT:
        return None


def _read_numbers(header: Dataset, tag: str) -> tuple[float, ...] | None:
    value = _read(header, tag)
    try:
        return None if value is None else tuple(map(float, [value] if isinstance(value, (str, float, int)) else value))
    except BAD_CONTENT:
        return None
