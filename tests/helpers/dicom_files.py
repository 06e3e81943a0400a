"""DICOM files made by pydicom."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

VALUES = np.arange(48, dtype=np.uint16).reshape(6, 8)
WHOLE: dict[str, tuple[str, bytes]] = {
    "Modality": ("CS", b"CT"),
    "SeriesInstanceUID": ("UI", b"1.2\0"),
    "ImagePositionPatient": ("DS", b"0\\0\\0 "),
    "ImageOrientationPatient": ("DS", b"1\\0\\0\\0\\1\\0 "),
    "SamplesPerPixel": ("US", b"\1\0"),
    "PhotometricInterpretation": ("CS", b"MONOCHROME2 "),
    "NumberOfFrames": ("IS", b"1 "),
    "Rows": ("US", b"\6\0"),
    "Columns": ("US", b"\x08\0"),
    "BitsAllocated": ("US", b"\x10\0"),
    "BitsStored": ("US", b"\x10\0"),
    "HighBit": ("US", b"\x0f\0"),
    "PixelRepresentation": ("US", b"\0\0"),
    "PixelPaddingValue": ("US", b"\0\0"),
    "PixelPaddingRangeLimit": ("US", b"\0\0"),
    "WindowCenter": ("DS", b"20"),
    "WindowWidth": ("DS", b"40"),
    "VOILUTFunction": ("CS", b"LINEAR"),
    "RescaleSlope": ("DS", b"1 "),
    "RescaleIntercept": ("DS", b"0 "),
    "ModalityLUTSequence": ("SQ", b""),
    "VOILUTSequence": ("SQ", b""),
    "SharedFunctionalGroupsSequence": ("SQ", b""),
    "PerFrameFunctionalGroupsSequence": ("SQ", b""),
    "PixelData": ("OW", VALUES.tobytes()),
}
"""All attributes that describe the pixels of an image, with their VRs and bytes."""


def dataset(pixels: np.ndarray | None, syntax: str = ExplicitVRLittleEndian, **attributes: object) -> Dataset:
    """One image: (rows, columns), (rows, columns, 3) or, with NumberOfFrames, frames first; attributes are added."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.SOPClassUID, made.SOPInstanceUID, made.Modality = CTImageStorage, "1.2.3", "CT"
    made.PatientName, made.SeriesInstanceUID = "Secret^Name", "1.2.840.1"
    if pixels is not None:
        color = pixels.shape[-1] == 3 and pixels.ndim > 2
        made.Rows, made.Columns = pixels.shape[-3:-1] if color else pixels.shape[-2:]
        made.SamplesPerPixel = 3 if color else 1
        made.PhotometricInterpretation = "RGB" if color else "MONOCHROME2"
        if color:
            made.PlanarConfiguration = 0
        made.BitsAllocated = made.BitsStored = pixels.dtype.itemsize * 8
        made.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    if pixels is not None:
        made.HighBit = attributes.get("HighBit", made.BitsStored - 1)
        content = pixels.astype(
            pixels.dtype.newbyteorder("<" if made.file_meta.TransferSyntaxUID.is_little_endian else ">")
        )
        made.PixelData = content.tobytes() + bytes(content.nbytes % 2)
        made["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    return made


def save(made: Dataset, path: Path) -> Path:
    """Write a dataset and return its path."""
    pydicom.dcmwrite(path, made, enforce_file_format=True)
    return path


def write(path: Path, pixels: np.ndarray | None, syntax: str = ExplicitVRLittleEndian, **attributes: object) -> Path:
    """Make an image and write it."""
    return save(dataset(pixels, syntax, **attributes), path)


def item(**attributes: object) -> Dataset:
    """An item of a sequence."""
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def longer(path: Path, count: int) -> None:
    """Append zeros inside of a deflated file."""
    content = path.read_bytes()
    start = 144 + pydicom.filereader.read_file_meta_info(path).FileMetaInformationGroupLength
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    inflated = zlib.decompress(content[start:], -zlib.MAX_WBITS) + bytes(count)
    path.write_bytes(content[:start] + deflater.compress(inflated) + deflater.flush())


def table(first: int, entries: list[int], bits: int) -> pydicom.Dataset:
    made = item(LUTDescriptor=[len(entries), first, bits], LUTData=entries)
    made["LUTData"].VR = "US"
    made["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    return made


def encode_elements(elements: dict[str, tuple[str, bytes]], implicit: bool = False) -> bytes:
    """Attributes by their keywords, in the order of their tags, with these VRs and bytes whether or not they fit."""
    content = b""
    for tag, (vr, value) in sorted((tag_for_keyword(keyword), found) for keyword, found in elements.items()):
        content += struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        if implicit:
            length = struct.pack("<I", len(value))
        elif vr in ("OB", "OW", "SQ", "UN"):
            length = vr.encode() + struct.pack("<HI", 0, len(value))
        else:
            length = vr.encode() + struct.pack("<H", len(value))
        content += length + value
    return content


def encode_file(elements: dict[str, tuple[str, bytes]], syntax: str, implicit: bool = False) -> bytes:
    """A file of these attributes, which may be written otherwise than its transfer syntax says."""
    told = syntax.encode() + b"\0" * (len(syntax) % 2)
    return (
        bytes(128)
        + b"DICM"
        + encode_elements({"TransferSyntaxUID": ("UI", told)})
        + encode_elements(elements, implicit)
    )
