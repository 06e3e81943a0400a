"""Numbers, colors and opacity as they are in a file, from what Pillow decoded.

Pillow 13 reads 16 bits of color as 8, transparent values of 2- and 4-bit gray unscaled, signed bytes as unsigned, and
compressed big-endian TIFF of signed or floating point values with swapped bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.raw_image import RawImage

_HIGH_FIRST = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}
"""The raw mode that takes the other byte of each 16-bit sample."""
_NATIVE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}
_NOT_DEEP = ("I;", "CMYK;16")
_GRAY_STEPS = {"L;2": 85, "L;4": 17}
_TIFF = {"bits": 258, "photometric": 262, "planar": 284, "extra": 338, "format": 339}
_WHITE_IS_ZERO, _SIGNED = 0, 2


def is_deep(tiles: Sequence[Any]) -> bool:
    """Return whether the pixels have several channels of 16 bits, of which Pillow keeps 8."""
    raw_mode = _get_raw_mode(tiles)
    return raw_mode[-4:] in _HIGH_FIRST and not raw_mode.startswith(_NOT_DEEP)


def select_low_bytes(tiles: Sequence[Any]) -> list[Any]:
    """Return the tiles that decode to the low bytes of 16-bit samples; of gray with alpha to both bytes of both."""
    return [_set_raw_mode(tile, _choose_low_mode(_get_raw_mode([tile]))) for tile in tiles]


def correct_tiles(image: Any) -> None:
    """Have compressed big-endian TIFF read as libtiff gives it, in native byte order."""
    image.tile = [
        _set_raw_mode(tile, _NATIVE.get(_get_raw_mode([tile]), _get_raw_mode([tile]))) if tile[0] == "libtiff" else tile
        for tile in image.tile
    ]


def extract_pixels(image: Any, tiles: Sequence[Any], low: Image.Image | None, frames: int, name: str) -> RawImage:
    """Return the numbers, colors and opacity of a loaded image.

    Args:
        image: the image, loaded.
        tiles: what it had to decode.
        low: the same with the tiles of `select_low_bytes`, where `is_deep`.
        frames: frames in its file.
        name: the file, for errors.

    Raises:
        UserError: it has a kind of pixels that is not supported.
    """
    raw_mode = _get_raw_mode(tiles)
    _refuse_unknown(image, raw_mode, name)
    if low is not None:
        known, values, bits = image, _join_bytes(image, low, raw_mode), 16
    else:
        known = _convert_to_known_mode(image, name)
        values, bits = _read_numbers(known), _count_bits(known)
    pixels, color, alpha = _split_alpha(known, values, 2.0**bits - 1, raw_mode)
    return RawImage(
        pixels,
        color=color,
        alpha=alpha,
        kind=f"{image.format}, {bits}-bit {_describe_mode(image, raw_mode)}",
        nominal=_get_nominal_range(values, bits),
        frames=frames,
    )


def _get_raw_mode(tiles: Sequence[Any]) -> str:
    if not tiles:
        return ""
    arguments = tiles[0][3]
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _set_raw_mode(tile: Any, raw_mode: str) -> Any:
    arguments = tile[3]
    return tile._replace(args=raw_mode if isinstance(arguments, str) else (raw_mode, *arguments[1:]))


def _choose_low_mode(raw_mode: str) -> str:
    return "RGBA" if raw_mode == "LA;16B" else raw_mode[:-4] + _HIGH_FIRST[raw_mode[-4:]]


def _join_bytes(high: Image.Image, low: Image.Image, raw_mode: str) -> np.ndarray:
    if raw_mode == "LA;16B":  # four bytes a pixel: gray, gray, alpha, alpha
        parts = np.asarray(low).astype(np.uint16)
        return parts[..., 0::2] * np.uint16(256) + parts[..., 1::2]
    return np.asarray(high).astype(np.uint16) * np.uint16(256) + np.asarray(low)


def _refuse_unknown(image: Any, raw_mode: str, name: str) -> None:
    why = ""
    if unknown := _count_unspecified(image):
        channels = "channel" if unknown == 1 else "channels"
        raise UserError(
            f"{name}: is a TIFF with {unknown} more {channels} than gray or colors, of which it does not tell the "
            "meaning (ExtraSamples is 0); save it without, or each channel as an image"
        )
    if image.mode == "LAB":
        why = "LAB colors"
    elif image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        why = "CMYK colors that may be inverted or not, for the mark of Adobe is missing"
    elif raw_mode.startswith("CMYK;16"):
        why = "16-bit CMYK colors"
    elif raw_mode.startswith("RGBa;16"):
        why = "16-bit colors multiplied by their alpha"
    elif _read_tiff_tag(image, "planar", 1) == 2 and _read_tiff_tag(image, "bits", 8) == 16 and image.mode != "I;16":
        why = "16-bit colors in separate planes"
    elif _read_tiff_tag(image, "photometric", 1) == _WHITE_IS_ZERO and image.mode == "F":
        why = "floating point values of which the smallest is white"
    if why:
        raise UserError(f"{name}: is a {image.format} with {why}, which is not supported; convert it to PNG")


def _count_unspecified(image: Any) -> int:
    """Return how many channels of a TIFF file Pillow leaves out without a word."""
    if image.format != "TIFF":
        return 0
    extra = image.tag_v2.get(_TIFF["extra"], ())
    return sum(kind == 0 for kind in (extra if isinstance(extra, tuple) else (extra,)))


def _read_tiff_tag(image: Any, tag: str, default: int) -> int:
    if image.format != "TIFF":
        return default
    value = image.tag_v2.get(_TIFF[tag], default)
    return value[0] if isinstance(value, tuple) else value


def _convert_to_known_mode(image: Any, name: str) -> Any:
    """Return the image in mode 1, L, LA, I, F, RGB or RGBA."""
    if image.mode in ("P", "PA"):
        _check_palette(image, name)
        has_alpha = image.mode == "PA" or "transparency" in image.info
        return _convert(image, "RGBA" if has_alpha else "RGB")
    changed = {"CMYK": "RGB", "YCbCr": "RGB", "RGBa": "RGBA", "RGBX": "RGB", "La": "LA"}.get(image.mode)
    return _convert(image, changed) if changed else image


def _convert(image: Any, mode: str) -> Any:
    result: Any = image.convert(mode)
    result.info.pop("transparency", None)
    result.format = image.format
    if image.format == "TIFF":
        result.tag_v2 = image.tag_v2
    return result


def _check_palette(image: Any, name: str) -> None:
    indices = np.asarray(image if image.mode == "P" else image.getchannel("P"))
    colors = len(image.getpalette() or ()) // 3
    if indices.size and indices.max() >= colors:
        raise UserError(f"{name}: uses color {indices.max()} of a palette of {colors}; download it again")


def _read_numbers(image: Any) -> np.ndarray:
    values = np.asarray(image)
    if image.mode == "1":
        return values.astype(np.uint8) * np.uint8(255)
    signed = _read_tiff_tag(image, "format", 1) == _SIGNED
    if image.mode == "L" and signed:
        return values.view(np.int8)
    if image.mode == "I" and _read_tiff_tag(image, "bits", 32) == 32 and _read_tiff_tag(image, "format", _SIGNED) == 1:
        return values.view(np.uint32)
    if image.mode.startswith("I;16"):
        values = values.astype(np.uint16)
        if _read_tiff_tag(image, "photometric", 1) == _WHITE_IS_ZERO:
            return np.uint16(2 ** _count_bits(image) - 1) - values
    return values


def _count_bits(image: Any) -> int:
    if image.format == "TIFF" and image.mode in ("I;16", "I;16B", "I", "F"):
        return _read_tiff_tag(image, "bits", 32 if image.mode in ("I", "F") else 16)
    return {"I": 32, "F": 32}.get(image.mode, 16 if image.mode.startswith("I;16") else 8)


def _get_nominal_range(values: np.ndarray, bits: int) -> tuple[float, float] | None:
    if values.dtype.kind == "f":
        return None
    if values.dtype.kind == "i":
        return -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1


def _split_alpha(
    image: Any, values: np.ndarray, opaque: float, raw_mode: str
) -> tuple[np.ndarray, bool, np.ndarray | None]:
    alpha = None
    if values.ndim == 3 and values.shape[-1] in (2, 4):
        values, opacity = values[..., :-1], values[..., -1]
        alpha = opacity.astype(np.float32) / np.float32(opaque)
    elif image.format == "PNG" or image.mode == "L":  # further frames of a GIF keep the index of a palette that is gone
        transparent = image.info.get("transparency")
        if transparent is not None:
            same = values == np.asarray(transparent) * _GRAY_STEPS.get(raw_mode, 1)
            alpha = (~(same.all(axis=-1) if values.ndim == 3 else same)).astype(np.float32)
    color = values.ndim == 3 and values.shape[-1] == 3
    return values if color else values.reshape(values.shape[:2]), color, alpha


def _describe_mode(image: Any, raw_mode: str) -> str:
    if raw_mode == "LA;16B":
        return "gray with alpha"
    known = {
        "P": "palette",
        "PA": "palette with alpha",
        "1": "gray",
        "L": "gray",
        "LA": "gray with alpha",
        "La": "gray with alpha",
    }
    if image.mode in known:
        return known[image.mode]
    if image.mode == "F":
        return "floating point gray"
    if image.mode.startswith("I"):
        return "signed gray" if image.mode == "I" and _read_tiff_tag(image, "format", _SIGNED) == _SIGNED else "gray"
    return {"RGBA": "RGB with alpha", "RGBa": "RGB with alpha"}.get(image.mode, image.mode)
