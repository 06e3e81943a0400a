"""Stored numbers of the frames of an open DICOM file: checked before they are decoded, and within bounds.

pydicom decodes; which of its plugins comes first is chosen here, since one of them ends the process over some damages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.dicom.codestreams import Codestream, read_codestream
from medmamba_monai.images.dicom.header import (
    BrokenAttributeError,
    blame_attribute,
    count_header_frames,
    read_integer,
)
from medmamba_monai.images.dicom.open import DicomFile
from medmamba_monai.images.dicom.pixel_element import PixelElement
from medmamba_monai.images.raw_image import Limits

_PLUGINS = ("pylibjpeg", "pyjpegls", "pillow", "pydicom", "gdcm")
"""Decoders, the best first: for some damaged images gdcm ends the process."""
_LOSSLESS = (
    *(JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless, HTJ2KLosslessRPCL, RLELossless),
)
_MAX_OVERSHOOT = 1 / 8
"""How far lossy compression may leave the range of the stored bits, as a share of it; farther off are other data."""


@dataclass(frozen=True)
class StoredPixels:
    """The pixels of a file, checked but not yet decoded.

    Attributes:
        file: the file.
        element: where they stand.
        syntax: how they are stored.
        plugin: the decoder of pydicom; empty where they are not compressed.
        options: what pydicom must know of them.
    """

    file: DicomFile
    element: PixelElement
    syntax: UID
    plugin: str
    options: dict[str, Any]

    def decode(self, index: int) -> np.ndarray:
        """Decode one frame.

        Returns:
            (rows, columns), or (rows, columns, 3) in RGB; without the bits above BitsStored, in which old files keep
            overlays.

        Raises:
            UserError: the compressed image is damaged, or has another size than the header says, so that decoding it
                could take any memory.
        """
        if self.syntax.is_encapsulated and self.syntax != RLELossless:
            self._check_codestream(index)
        self.file.stream.seek(self.element.start)
        try:
            decoder = get_decoder(self.syntax)
            values, _ = decoder.as_array(self.file.stream, index=index, decoding_plugin=self.plugin, **self.options)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{self.file.name}: its pixels ({self.syntax.name}) cannot be decoded ({reason}); download it again or "
                "convert it"
            ) from error
        return self._remove_unused_bits(values) if self.syntax.is_encapsulated else values

    def _check_codestream(self, index: int) -> None:
        options = self.options
        self.file.stream.seek(self.element.start)
        offsets = options.get("extended_offsets")
        content = get_frame(
            self.file.stream, index, number_of_frames=options["number_of_frames"], extended_offsets=offsets
        )
        found = read_codestream(content)
        told = Codestream(options["columns"], options["rows"], options["samples_per_pixel"])
        if found != told:
            raise UserError(
                f"{self.file.name}: its compressed image is {found or 'damaged'}, its header says {told}; download it "
                "again"
            )

    def _remove_unused_bits(self, values: np.ndarray) -> np.ndarray:
        bits, size = self.options["bits_stored"], values.dtype.itemsize * 8
        if bits >= size:
            return values
        if self.syntax in _LOSSLESS:
            unused = values.dtype.type(size - bits)
            return (values << unused) >> unused  # of signed numbers the sign goes on into the bits above
        low = -(2 ** (bits - 1)) if self.options["pixel_representation"] else 0
        high = low + 2**bits - 1
        least, most = int(values.min()), int(values.max())
        if max(low - least, most - high) > (high - low) * _MAX_OVERSHOOT:
            raise UserError(
                f"{self.file.name}: has values from {least} to {most} in {bits} bits after lossy compression, as where "
                "an overlay is kept in the bits above; convert it"
            )
        return np.clip(values, low, high)


def check_pixels(file: DicomFile, frames: int, limits: Limits) -> StoredPixels:
    """Make sure that a file holds pixels that can be decoded, before decoding them.

    Args:
        file: the file.
        frames: how many of its frames are to be decoded.
        limits: bounds on them.

    Raises:
        UserError: they cannot.
        BrokenAttributeError: an attribute that describes them is missing or has no meaning.
    """
    header, name, element = file.header, file.name, file.pixels
    if element is None:
        with blame_attribute("SOPClassUID"):
            kind = _name_uid(header.get("SOPClassUID"))
        raise UserError(f"{name}: is a DICOM file without an image ({kind}); leave it out")
    allocated, samples = read_integer(header, "BitsAllocated"), read_integer(header, "SamplesPerPixel", 1)
    if allocated != 1 and (allocated % 8 or not 8 <= allocated <= 64):
        raise BrokenAttributeError("BitsAllocated", f"is {allocated}, expected 1, 8, 16, 32 or 64")
    size = (read_integer(header, "Columns"), read_integer(header, "Rows"))
    limits.check(name, (*size, frames) if frames > 1 else size, samples * max(allocated, 8) / 8)
    if element.keyword == "PixelData":
        _check_bits(file, allocated)
    if file.syntax is None:
        raise UserError(f"{name}: does not tell its transfer syntax; download it again")
    plugin = _choose_decoder(file, file.syntax)
    pixels = StoredPixels(file, element, file.syntax, plugin, _make_options(file, element))
    _check_length(pixels)
    return pixels


def _check_bits(file: DicomFile, allocated: int) -> None:
    bits = read_integer(file.header, "BitsStored")
    if not 1 <= bits <= allocated:
        raise BrokenAttributeError("BitsStored", f"is {bits}, of {allocated} that are allocated")
    high = read_integer(file.header, "HighBit", bits - 1)
    if high != bits - 1:
        raise UserError(f"{file.name}: its HighBit {high} with BitsStored {bits} is not supported; convert it")
    if read_integer(file.header, "PixelRepresentation") not in (0, 1):
        raise BrokenAttributeError("PixelRepresentation", "is neither 0 nor 1")


def _check_length(pixels: StoredPixels) -> None:
    """Refuse pixels that are not stored as, or shorter than, the header says: what follows would be read as some."""
    name, length, options = pixels.file.name, pixels.element.length, pixels.options
    if pixels.syntax.is_encapsulated != (length is None):
        found = "compressed" if length is None else "not compressed"
        raise UserError(
            f"{name}: its transfer syntax is {pixels.syntax.name}, but its pixels are {found}; download it again or "
            "convert it"
        )
    values = math.prod(options[key] for key in ("rows", "columns", "samples_per_pixel", "number_of_frames"))
    values = values * 2 // 3 if options["photometric_interpretation"] == "YBR_FULL_422" else values
    needed = math.ceil(values * options["bits_allocated"] / 8)
    if length is not None and length < needed:
        raise UserError(
            f"{name}: is damaged: its header tells of {needed} bytes of pixels, it holds {length}; download it again"
        )


def _make_options(file: DicomFile, element: PixelElement) -> dict[str, Any]:
    header = file.header
    with blame_attribute("PhotometricInterpretation"):
        photometric = header.get("PhotometricInterpretation")
    if not isinstance(photometric, str) or not photometric:
        raise BrokenAttributeError("PhotometricInterpretation", "is missing")
    options: dict[str, Any] = {
        "rows": read_integer(header, "Rows"),
        "columns": read_integer(header, "Columns"),
        "samples_per_pixel": read_integer(header, "SamplesPerPixel", 1),
        "number_of_frames": count_header_frames(header),
        "photometric_interpretation": photometric,
        "bits_allocated": read_integer(header, "BitsAllocated"),
        "pixel_keyword": element.keyword,
    }
    if element.keyword == "PixelData":
        options["bits_stored"] = read_integer(header, "BitsStored")
        options["pixel_representation"] = read_integer(header, "PixelRepresentation")
    if element.vr:
        options["pixel_vr"] = element.vr
    if options["samples_per_pixel"] > 1:
        default = 0 if element.length is None else None  # what is compressed has its own order
        options["planar_configuration"] = read_integer(header, "PlanarConfiguration", default)
    return options | _get_offsets(file)


def _get_offsets(file: DicomFile) -> dict[str, Any]:
    with blame_attribute("ExtendedOffsetTable"):
        tables = tuple(file.header.get(f"ExtendedOffsetTable{end}") for end in ("", "Lengths"))
    return {"extended_offsets": tables} if all(isinstance(table, bytes) and table for table in tables) else {}


def _choose_decoder(file: DicomFile, syntax: UID) -> str:
    """Return the plugin of pydicom that decodes the pixels; empty where they are not compressed."""
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        kind = _name_uid(syntax)
        raise UserError(f"{file.name}: its pixels are stored as {kind}, which is not supported; convert it") from error
    if not decoder.is_available:
        raise UserError(f'{file.name}: is compressed as {syntax.name}; pip install "medmamba-monai[dicom]"')
    plugins = decoder.available_plugins
    if syntax == JPEGExtended12Bit and read_integer(file.header, "BitsStored", 8) > 8 and "pylibjpeg" not in plugins:
        raise UserError(
            f"{file.name}: is compressed as {syntax.name} with more than 8 bits, which only pylibjpeg-libjpeg decodes "
            "(not installed with the others for its license, GPL); pip install pylibjpeg-libjpeg, or convert it"
        )
    return next((plugin for plugin in _PLUGINS if plugin in plugins), "")


def _name_uid(uid: str | None) -> str:
    """Return what a UID means; not the UID itself, which in a damaged file can be any text."""
    name = UID(uid or "").name
    return "unknown kind" if name == (uid or "") else name
