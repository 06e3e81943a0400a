"""PNG, JPEG, BMP, TIFF, GIF and WebP: what a person sees, from the bits that are in the file.

Pillow decodes. Where it would give other values than the file has, this module corrects it or refuses the file.
Color profiles and gamma are not applied.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import ExifTags, Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.images.file_errors import explain_file_errors
from medmamba_monai.images.pillow.frame_counts import count_listed_frames
from medmamba_monai.images.pillow.origin import describe_origin
from medmamba_monai.images.pillow.pixels import correct_tiles, extract_pixels, is_deep, select_low_bytes
from medmamba_monai.images.raw_image import Frame, Limits, RawImage, check_frame_count, choose_frame
from medmamba_monai.images.tiff import read_float_tiff

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp")

_PLUGINS: dict[bytes, Callable[[IO[bytes]], ImageFile.ImageFile]] = {
    b"\x89PNG": PngImageFile,
    b"\xff\xd8\xff": JpegImageFile,  # of an MPO file, which phones write, the picture that every viewer shows
    b"BM": BmpImageFile,
    b"II*\0": TiffImageFile,
    b"MM\0*": TiffImageFile,
    b"II+\0": TiffImageFile,
    b"MM\0+": TiffImageFile,
    b"GIF8": GifImageFile,
    b"RIFF": WebPImageFile,
}
"""The classes themselves: `Image.open` has a bound of its own on the size, for the whole process."""

_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)

_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}
"""What the values of the EXIF tag Orientation ask for."""

_UNKNOWN_TIFF = "unknown pixel mode"
_DESCRIPTION = 270
_IMAGEJ = re.compile(r"ImageJ=.*?\bimages=(\d+)", re.DOTALL)

_lock = threading.Lock()
_readers = 0
_setting_of_others = False


def is_picture(head: bytes) -> bool:
    """Return whether a file that starts with these bytes is of a format read here."""
    if head.startswith(b"RIFF"):
        return head[8:12] == b"WEBP"
    return head.startswith(tuple(_PLUGINS))


def count_picture_frames(path: Path) -> int:
    """Return the number of frames of a picture, from its headers.

    Raises:
        UserError: the file is damaged.
    """
    with explain_file_errors(path, "a picture", *_BOMBS), _refuse_truncated_files(), path.open("rb") as stream:
        frames = count_listed_frames(stream)
        return check_frame_count(format_path(path), _count_told_frames(_open(stream)) if frames is None else frames)


def read_picture(path: Path, frame: Frame, limits: Limits) -> RawImage:
    """Decode one frame, turned upright.

    Args:
        path: a file for which `is_picture` holds.
        frame: which frame; needed where there are several.
        limits: what it may expand to.

    Returns:
        The image with values of (rows, columns) or (rows, columns, 3), in the numbers of the file.

    Raises:
        UserError: the file is damaged, too large, has several frames or a kind of pixels that is not supported.
    """
    with explain_file_errors(path, "a picture", *_BOMBS), _refuse_truncated_files(), path.open("rb") as stream:
        if _is_float_tiff(stream):
            raw, turn = read_float_tiff(path, frame, count_listed_frames(stream) or 1, limits)
            return _turn(replace(raw, origin={"format": "TIFF"}), turn)
        _check_sums(stream)
        image, frames = _open_at_frame(stream, path, frame, limits)
        tiles = list(image.tile)
        correct_tiles(image)
        image.load()
        if is_deep(tiles) and frames > 1 and isinstance(image, PngImageFile):
            raise UserError(
                f"{format_path(path)}: is animated in 16 bits, which is not supported; save its frames as PNG"
            )
        low = _decode_low_bytes(path, frame, limits) if is_deep(tiles) else None
        raw = extract_pixels(image, tiles, low, frames, format_path(path))
        return _turn_upright(replace(raw, origin=describe_origin(image)), image)


@contextlib.contextmanager
def _refuse_truncated_files() -> Iterator[None]:
    """Decode as if nobody had set LOAD_TRUNCATED_IMAGES, which fills what is missing with gray."""
    global _readers, _setting_of_others
    with _lock:
        if not _readers:
            _setting_of_others = ImageFile.LOAD_TRUNCATED_IMAGES
            ImageFile.LOAD_TRUNCATED_IMAGES = False
        _readers += 1
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if not _readers:
                ImageFile.LOAD_TRUNCATED_IMAGES = _setting_of_others


def _open(stream: IO[bytes]) -> ImageFile.ImageFile:
    head = stream.read(4)
    stream.seek(0)
    plugin = next(plugin for signature, plugin in _PLUGINS.items() if head.startswith(signature))
    return plugin(stream)


def _count_told_frames(image: Any) -> int:
    return getattr(image, "n_frames", 1)


def _is_float_tiff(stream: IO[bytes]) -> bool:
    """Return whether a file is a TIFF of a kind that Pillow refuses."""
    try:
        _open(stream)
    except SyntaxError as error:
        return _UNKNOWN_TIFF in str(error)
    finally:
        stream.seek(0)
    return False


def _check_sums(stream: IO[bytes]) -> None:
    """Check a PNG's checksums: decoding alone lets some flipped bits pass as other pixels."""
    image = _open(stream)
    if isinstance(image, PngImageFile):
        image.verify()
    stream.seek(0)


def _open_at_frame(stream: IO[bytes], path: Path, frame: Frame, limits: Limits) -> tuple[Any, int]:
    image = _open(stream)
    limits.check(format_path(path), image.size, 8)
    frames = count_listed_frames(stream) or _count_told_frames(image)
    index = choose_frame(format_path(path), frames, frame)
    if isinstance(image, GifImageFile) and image.tile and image.tile[0][1] != (0, 0, *image.size):
        raise UserError(f"{format_path(path)}: its first frame does not cover the picture; convert it to PNG")
    told = _IMAGEJ.match(str(image.tag_v2.get(_DESCRIPTION, ""))) if isinstance(image, TiffImageFile) else None
    if told and int(told[1]) > frames:
        raise UserError(
            f"{format_path(path)}: ImageJ wrote {told[1]} images, of which {frames} can be read; save as pages"
        )
    if frames > 1:
        image.seek(index)
        limits.check(format_path(path), image.size, 8)
    return image, frames


def _decode_low_bytes(path: Path, frame: Frame, limits: Limits) -> Image.Image:
    with path.open("rb") as stream:
        image, _ = _open_at_frame(stream, path, frame, limits)
        image.tile = select_low_bytes(image.tile)
        image.load()
    return image


def _turn_upright(raw: RawImage, image: ImageFile.ImageFile) -> RawImage:
    """Turn the image as its EXIF data say; Pillow has done so itself, and removed the tag, for TIFF."""
    return _turn(raw, image.getexif().get(ExifTags.Base.Orientation, 1))


def _turn(raw: RawImage, orientation: int) -> RawImage:
    turn = _UPRIGHT.get(orientation)
    if turn is None:
        return raw
    return replace(raw, values=turn(raw.values), alpha=None if raw.alpha is None else turn(raw.alpha))
