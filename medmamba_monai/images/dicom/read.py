"""DICOM files: from bytes to the stored numbers of a frame, within bounds.

Only the attributes that describe pixels are parsed, so that no patient's name is in memory.

pydicom decodes; which of its plugins comes first is chosen here, since one of them ends the process over some damages.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.encaps import get_frame
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from pydicom.valuerep import VR

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.images.dicom.codestreams import Codestream, read_codestream
from medmamba_monai.images.dicom.header import count_header_frames
from medmamba_monai.images.dicom.values import interpret_frame
from medmamba_monai.images.file_errors import explain_file_errors
from medmamba_monai.images.raw_image import Frame, Limits, RawImage, choose_frame

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")

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
]
_PIXEL_TAGS = {struct.pack(order + "HH", 0x7FE0, element) for order in "<>" for element in (8, 9, 16)}
_PLUGINS = ("pylibjpeg", "pyjpegls", "pillow", "pydicom", "gdcm")
"""Decoders, the best first: for some damaged images gdcm ends the process."""
_PYDICOM_ERRORS = (InvalidDicomError, BytesLengthException)
_HEAD_BYTES = 352
_HEADER_BYTES = 2**24  # of an inflated file, before the pixels


def is_dicom(head: bytes) -> bool:
    """Return whether a file that starts with these bytes is DICOM, with or without the 128 bytes before "DICM"."""
    return head[128:132] == b"DICM" or _read_bare_syntax(head) is not None


def looks_like_dicom(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins as DICOM does, with or without "DICM" at byte 128.

    False for a DICOMDIR, which has no pixels, for folders, and for what is missing or may not be read.
    """
    path = Path(path)
    try:
        return path.is_file() and path.name.lower() != "dicomdir" and is_dicom(_read_head(path))
    except OSError:
        return False


def count_dicom_frames(path: Path) -> int:
    """Return the number of frames of a DICOM file, from its header.

    Raises:
        UserError: the file is damaged.
    """
    with open_dicom(path, Limits()) as (_, header):
        return count_header_frames(header)


def read_dicom(path: Path, frame: Frame, limits: Limits) -> RawImage:
    """Read one frame.

    Args:
        path: a file for which `is_dicom` holds.
        frame: which frame; needed where there are several.
        limits: what it may expand to.

    Returns:
        (rows, columns) in rescaled units such as HU, or (rows, columns, 3) for colors; as stored, so that the first row
        is the top.

    Raises:
        UserError: the file is damaged, too large, holds no pixels or several frames, or needs a decoder that is not
            installed.
    """
    with open_dicom(path, limits) as (stream, header):
        check_image(stream, header, format_path(path), 1, limits)
        index = choose_frame(format_path(path), count_header_frames(header), frame)
        return interpret_frame(decode_frame(stream, header, index, format_path(path)), header, index, format_path(path))


@contextlib.contextmanager
def open_dicom(path: Path, limits: Limits, tags: Sequence[str] = _ATTRIBUTES) -> Iterator[tuple[BinaryIO, FileDataset]]:
    """Open a file in plain DICOM format where its pixels begin, and read these tags of its header.

    Errors of pydicom become errors that name the file; what they quote could be a patient's name.
    """
    with explain_file_errors(path, "a DICOM file", *_PYDICOM_ERRORS, quote=False), path.open("rb") as file:
        stream = _open_plain(file, path, limits)
        stream.seek(0)
        yield stream, dcmread(stream, stop_before_pixels=True, specific_tags=list(tags))


def _read_head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_HEAD_BYTES)


def check_image(stream: BinaryIO, header: FileDataset, name: str, frames: int, limits: Limits) -> None:
    """Make sure that a file holds pixels that can be decoded, before decoding them.

    Args:
        stream: where its pixels begin.
        header: its header.
        name: the file, for errors.
        frames: how many of its frames are to be decoded.
        limits: bounds on them.

    Raises:
        UserError: they cannot.
    """
    if stream.read(4) not in _PIXEL_TAGS:
        kind = _name_uid(header.get("SOPClassUID"))
        raise UserError(f"{name}: is a DICOM file without an image ({kind}); leave it out")
    size = (header.Columns, header.Rows, frames) if frames > 1 else (header.Columns, header.Rows)
    limits.check(name, size, header.SamplesPerPixel * max(header.BitsAllocated, 8) / 8)
    high, bits = header.get("HighBit"), header.get("BitsStored")
    if high is not None and bits is not None and high != bits - 1:
        raise UserError(f"{name}: its HighBit {high} with BitsStored {bits} is not supported; convert it")
    if header.file_meta.get("TransferSyntaxUID") is None:
        raise UserError(f"{name}: does not tell its transfer syntax; download it again")
    _choose_decoder(header, name)


def decode_frame(stream: BinaryIO, header: FileDataset, index: int, name: str) -> np.ndarray:
    """Decode one frame.

    Returns:
        (rows, columns), or (rows, columns, 3) in RGB.

    Raises:
        UserError: the compressed image is damaged, or has another size than the header says, so that decoding it could
            take any memory.
    """
    syntax = header.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated and syntax != RLELossless:
        found = read_codestream(_read_encoded_frame(stream, header, index))
        told = Codestream(header.Columns, header.Rows, header.SamplesPerPixel)
        if found != told:
            raise UserError(
                f"{name}: its compressed image is {found or 'damaged'}, its header says {told}; download it again"
            )
    stream.seek(0)
    try:
        return pixel_array(stream, index=index, decoding_plugin=_choose_decoder(header, name))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{name}: its pixels ({syntax.name}) cannot be decoded ({reason}); download it again or convert it"
        ) from error


def _choose_decoder(header: FileDataset, name: str) -> str:
    """Return the plugin of pydicom that decodes the pixels; empty where they are not compressed."""
    syntax = header.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        kind = _name_uid(syntax)
        raise UserError(f"{name}: its pixels are stored as {kind}, which is not supported; convert it") from error
    if not decoder.is_available:
        raise UserError(f'{name}: is compressed as {syntax.name}; pip install "medmamba-monai[dicom]"')
    return next((plugin for plugin in _PLUGINS if plugin in decoder.available_plugins), "")


def _name_uid(uid: str | None) -> str:
    """Return what a UID means; not the UID itself, which in a damaged file can be any text."""
    name = UID(uid or "").name
    return "unknown kind" if name == (uid or "") else name


def _read_encoded_frame(stream: BinaryIO, header: FileDataset, index: int) -> bytes:
    stream.seek(0)
    dcmread(stream, stop_before_pixels=True, specific_tags=["Rows"])
    stream.seek(12, io.SEEK_CUR)  # tag, VR and length of the pixels
    return get_frame(stream, index, number_of_frames=count_header_frames(header))


def _open_plain(file: BinaryIO, path: Path, limits: Limits) -> BinaryIO:
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if head[128:132] == b"DICM":
        meta = read_file_meta_info(path)
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return file
        file.seek(144 + meta.FileMetaInformationGroupLength)
        return _inflate(file, format_path(path), limits)
    syntax = _read_bare_syntax(head)
    if syntax is None:
        raise InvalidDicomError("neither DICM at byte 128 nor a known attribute at the start")
    if path.stat().st_size > limits.bytes:
        raise limits.explain_excess(format_path(path))
    return io.BytesIO(_make_start(syntax) + file.read())


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
    limits.check(name, (header.Columns, header.Rows), header.BitsAllocated / 8)
    values = (
        header.Columns * header.Rows * int(header.get("SamplesPerPixel") or 1) * max(1, count_header_frames(header))
    )
    return values * max(header.BitsAllocated, 8) / 8


def _make_start(syntax: UID | None) -> bytes:
    """Return what a file in DICOM format begins with; the syntax is left out where the file tells it."""
    if not syntax:
        return bytes(128) + b"DICM"
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    return bytes(128) + b"DICM" + struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value


def _read_bare_syntax(head: bytes) -> UID | None:
    """Return the encoding of a file without a preamble; an empty UID where its first attribute tells that."""
    if len(head) < 16 or head[:4] not in _FIRST_TAGS:
        return None
    explicit = head[4:6] in _VRS
    if head[:2] == b"\x02\0":
        return UID("") if explicit else None
    if head[:2] == b"\0\x08":
        return ExplicitVRBigEndian if explicit else None
    if explicit:
        return ExplicitVRLittleEndian
    return ImplicitVRLittleEndian if struct.unpack("<I", head[4:8])[0] < 256 else None


_FIRST_TAGS = {
    struct.pack(order + "HH", group, element)
    for order, group, elements in (
        ("<", 2, (0, 1, 2)),
        ("<", 8, (0, 1, 5, 8, 0x12, 0x16, 0x18)),
        (">", 8, (0, 1, 5, 8, 0x16)),
    )
    for element in elements
}
_VRS = {vr.value.encode() for vr in VR if len(vr.value) == 2}
