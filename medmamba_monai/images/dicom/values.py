"""Stored numbers of a DICOM frame in the units of its file: rescaling, palettes, padding (PS3.3 C.7.6, C.11.1)."""

from __future__ import annotations

import math

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut
from pydicom.uid import JPEG2000TransferSyntaxes

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.dicom.header import (
    BrokenAttributeError,
    blame_attribute,
    count_header_frames,
    get_functional_group,
    is_signed,
    read_byte_order,
    read_code,
    read_decimal,
    read_integer,
    read_items,
    read_pixel_kind,
)
from medmamba_monai.images.dicom.lookup_tables import look_up, read_lookup_table
from medmamba_monai.images.dicom.origin import describe_origin
from medmamba_monai.images.dicom.window import WindowDisplay, read_display
from medmamba_monai.images.raw_image import RawImage

_YBR = ("YBR_FULL", "YBR_FULL_422")
_YBR_OF_JPEG_2000 = ("YBR_ICT", "YBR_RCT")


def interpret_frame(stored: np.ndarray, header: Dataset, index: int, name: str) -> RawImage:
    """Make an image of the stored numbers of one frame.

    Pixels with the file's padding value are marked, and shown black whatever the window.

    Args:
        stored: (rows, columns) or (rows, columns, 3).
        header: the file's header.
        index: the frame.
        name: the file, for errors.

    Raises:
        UserError: the file has a palette, a lookup table or a scale that is not supported.
    """
    frames = count_header_frames(header)
    photometric = str(header.PhotometricInterpretation)
    if photometric == "PALETTE COLOR" or stored.ndim == 3:
        colors, bits = _read_colors(stored, header, photometric, name)
        return RawImage(
            colors,
            str(read_pixel_kind(header)),
            True,
            (0.0, 2.0**bits - 1),
            frames=frames,
            format="DICOM",
            origin=describe_origin(header, index),
        )
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise UserError(
            f"{name}: has one value a pixel, unlike {read_code(header, 'PhotometricInterpretation')}; convert it"
        )
    values, nominal = _rescale(stored, header, index, name)
    voi = get_functional_group(header, index, "FrameVOILUTSequence") or header
    display = read_display(voi, nominal, read_byte_order(header), name)
    return RawImage(
        values,
        str(read_pixel_kind(header)),
        nominal=nominal,
        hidden=_find_padding(stored, header),
        inverted=photometric == "MONOCHROME1",
        window=(display.center, display.width) if isinstance(display, WindowDisplay) else None,
        display=display,
        frames=frames,
        format="DICOM",
        origin=describe_origin(header, index),
    )


def _rescale(
    stored: np.ndarray, header: Dataset, index: int, name: str
) -> tuple[np.ndarray, tuple[float, float] | None]:
    if tables := read_items(header, "ModalityLUTSequence"):
        with blame_attribute("ModalityLUTSequence"):
            table, first, bits = read_lookup_table(tables[0], is_signed(header), read_byte_order(header))
        return look_up(stored, table, first), (0.0, 2.0**bits - 1)
    item = get_functional_group(header, index, "PixelValueTransformationSequence") or header
    slope, intercept = read_decimal(item, "RescaleSlope", 1.0), read_decimal(item, "RescaleIntercept", 0.0)
    if slope == 0 or not math.isfinite(slope * intercept):
        raise UserError(f"{name}: its RescaleSlope {slope:g} and RescaleIntercept {intercept:g} have no meaning")
    if stored.dtype.kind == "f":
        return stored * slope + intercept, None
    low, high = sorted(edge * slope + intercept for edge in _get_stored_range(header))
    if (slope, intercept) == (1, 0):
        return stored, (low, high)
    whole = slope.is_integer() and intercept.is_integer()
    if whole and stored.itemsize < 4 and abs(slope) < 2**14 and abs(intercept) < 2**30:
        return stored.astype(np.int32) * np.int32(slope) + np.int32(intercept), (low, high)
    return stored.astype(np.float64) * slope + intercept, (low, high)


def _get_stored_range(header: Dataset) -> tuple[float, float]:
    bits = read_integer(header, "BitsStored")
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if is_signed(header) else (0.0, 2.0**bits - 1)


def _find_padding(stored: np.ndarray, header: Dataset) -> np.ndarray | None:
    if stored.dtype.kind == "f" or _is_empty(header, "PixelPaddingValue"):
        return None
    value = read_integer(header, "PixelPaddingValue")
    low, high = sorted((value, read_integer(header, "PixelPaddingRangeLimit", value)))
    hidden = (stored >= low) & (stored <= high)
    return hidden if hidden.any() else None


def _is_empty(header: Dataset, keyword: str) -> bool:
    with blame_attribute(keyword):
        return header.get(keyword) in (None, "")


def _read_colors(stored: np.ndarray, header: Dataset, photometric: str, name: str) -> tuple[np.ndarray, int]:
    """Return RGB and the bits of a sample."""
    if photometric == "PALETTE COLOR":
        return _apply_palette(stored, header, name)
    syntax = header.file_meta.TransferSyntaxUID
    bits = read_integer(header, "BitsStored")
    known = photometric == "RGB" or (photometric in _YBR and bits == 8)
    known = known or (photometric in _YBR_OF_JPEG_2000 and syntax in JPEG2000TransferSyntaxes)
    if not known or stored.shape[-1] != 3 or stored.dtype.kind != "u":
        raise UserError(f"{name}: has colors of a kind that is not supported ({read_pixel_kind(header)}); convert it")
    return stored, bits


def _apply_palette(stored: np.ndarray, header: Dataset, name: str) -> tuple[np.ndarray, int]:
    if read_byte_order(header) == ">":
        raise UserError(f"{name}: is a big-endian DICOM file with a palette, which is not supported; convert it")
    with blame_attribute("RedPaletteColorLookupTableDescriptor"):
        descriptor = header.get("RedPaletteColorLookupTableDescriptor")
        if descriptor is None:
            raise BrokenAttributeError("RedPaletteColorLookupTableDescriptor", "is missing")
        entries, first, bits = (int(part) for part in descriptor)
    first = first - 2**16 if is_signed(header) and first >= 2**15 else first
    with blame_attribute("RedPaletteColorLookupTableData"):
        table = apply_color_lut(np.arange(first, first + (entries or 2**16)), header)[:, :3]
    return look_up(stored, table, first), bits
