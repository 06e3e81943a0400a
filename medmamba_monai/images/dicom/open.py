"""DICOM files of every encoding, opened where their pixels begin.

Only the attributes that describe pixels are parsed, so that no patient's name is in memory.
"""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.images.dicom.header import BrokenAttributeError, count_header_frames, read_integer
from medmamba_monai.images.dicom.origin import ORIGIN_TAGS
from medmamba_monai.images.dicom.pixel_element import PixelElement, find_pixel_element
from medmamba_monai.images.dicom.recognize import HEAD_BYTES, read_bare_syntax
from medmamba_monai.images.file_errors import check_regular_file, explain_file_errors
from medmamba_monai.images.raw_image import Limits

_ATTRIBUTES = [
    *("SOPClassUID", "Modality", "SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient"),
    *("NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "PixelPresentation"),
    *(f"{color}PaletteColorLookupTableDescriptor" for color in ("Red", "Green", "Blue")),
    *(f"{color}PaletteColorLookupTableData" for color in ("Red", "Green", "Blue")),
    *(f"Segmented{color}PaletteColorLookupTableData" for color in ("Red", "Green", "Blue")),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *ORIGIN_TAGS,
]
_PYDICOM_ERRORS = (InvalidDicomError, BytesLengthException)
_HEADER_BYTES = 2**24  # of an inflated file, before the pixels
_PREAMBLE, _START = 128, 132
_META_GROUP, _GROUP_LENGTH_BYTES = 2, 12
_BY_ENCODING = {
    (True, True): ImplicitVRLittleEndian,
    (False, True): ExplicitVRLittleEndian,
    (False, False): ExplicitVRBigEndian,
}
"""The transfer syntax of what is not compressed, by whether VRs are implicit and the low byte is first."""


@dataclass(frozen=True)
class DicomFile:
    """An open file.

    Attributes:
        name: how messages call it.
        stream: its bytes in plain DICOM format.
        header: its attributes before the pixels, as far as they were asked for.
        pixels: the element that holds its pixels; None where it has none.
        syntax: how they are stored; None where the file does not tell.
    """

    name: str
    stream: BinaryIO
    header: FileDataset
    pixels: PixelElement | None
    syntax: UID | None


@contextlib.contextmanager
def open_dicom(path: Path, limits: Limits, tags: Sequence[str] = _ATTRIBUTES) -> Iterator[DicomFile]:
    """Open a file and read these tags of its header.

    Errors of pydicom become errors that name the file; what they quote could be a patient's name.

    Raises:
        UserError: it is missing or damaged; also in place of a `BrokenAttributeError` or an error of pydicom in the
            block.
    """
    check_regular_file(path)
    name = format_path(path)
    with explain_file_errors(path, "a DICOM file", *_PYDICOM_ERRORS, quote=False), path.open("rb") as file:
        try:
            yield _open(file, name, limits, tags)
        except BrokenAttributeError as error:
            raise UserError(f"{name}: {error}; correct it, convert the file or leave it out") from error


def _open(file: BinaryIO, name: str, limits: Limits, tags: Sequence[str]) -> DicomFile:
    stream = _open_plain(file, name, limits)
    stream.seek(0)
    header = dcmread(stream, stop_before_pixels=True, specific_tags=list(tags))
    pixels = find_pixel_element(stream, bool(header.original_encoding[1]))
    return DicomFile(name, stream, header, pixels, _find_syntax(header, pixels))


def _find_syntax(header: FileDataset, pixels: PixelElement | None) -> UID | None:
    """Return the transfer syntax; where the file does not tell it, what its header is written in.

    It is put into the header, where pydicom and others look for it.
    """
    told = header.file_meta.get("TransferSyntaxUID")
    if isinstance(told, str) and told:
        return UID(told)
    if pixels is None or pixels.length is None:
        return None
    header.file_meta.TransferSyntaxUID = _BY_ENCODING[header.original_encoding]  # type: ignore[index]
    return header.file_meta.TransferSyntaxUID


def _open_plain(file: BinaryIO, name: str, limits: Limits) -> BinaryIO:
    head = file.read(HEAD_BYTES)
    if head[_PREAMBLE:_START] != b"DICM":
        syntax = read_bare_syntax(head)
        if syntax is None:
            raise InvalidDicomError("neither DICM at byte 128 nor a known attribute at the start")
        if file.seek(0, io.SEEK_END) > limits.bytes:
            raise limits.explain_excess(name)
        file.seek(0)
        file = io.BytesIO(_make_start(syntax) + file.read())
    file.seek(_START)
    meta = read_dataset(file, False, True, stop_when=lambda tag, _, __: tag >> 16 != _META_GROUP)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return file
    if length := meta.get("FileMetaInformationGroupLength"):
        file.seek(_START + _GROUP_LENGTH_BYTES + length)
    return _inflate(file, name, limits)


def _inflate(file: BinaryIO, name: str, limits: Limits) -> BinaryIO:
    """Inflate the header, check the size that it tells, and only then inflate the rest."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    stream = io.BytesIO(_make_start(ExplicitVRLittleEndian))
    start = stream.seek(0, io.SEEK_END)
    inflated = stream.write(inflater.decompress(file.read(), min(_HEADER_BYTES, limits.bytes)))
    stream.seek(0)
    header = dcmread(stream, stop_before_pixels=True, specific_tags=_ATTRIBUTES)
    bound = limits.bound(stream.tell() + _count_pixel_bytes(header, name, limits))
    stream.seek(start + inflated)
    inflated += stream.write(inflater.decompress(inflater.unconsumed_tail, bound - inflated + 1))
    if inflated > bound:
        raise limits.explain_excess(name, bound)
    if not inflater.eof:
        raise EOFError("the deflated part is cut off")
    return stream


def _count_pixel_bytes(header: FileDataset, name: str, limits: Limits) -> float:
    """Return the bytes of the pixels that a header tells of; none where the file holds no image."""
    if "Rows" not in header:
        return 0
    columns, rows = read_integer(header, "Columns"), read_integer(header, "Rows")
    allocated = max(read_integer(header, "BitsAllocated"), 8)
    limits.check(name, (columns, rows), allocated / 8)
    return columns * rows * read_integer(header, "SamplesPerPixel", 1) * count_header_frames(header) * allocated / 8


def _make_start(syntax: UID | None) -> bytes:
    """Return what a file in DICOM format begins with; the syntax is left out where the file tells it."""
    if not syntax:
        return bytes(_PREAMBLE) + b"DICM"
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    return bytes(_PREAMBLE) + b"DICM" + struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value
