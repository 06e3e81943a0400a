"""From a file to a checked array: the right pixels, or an error that names the file.

The general loaders return 16-bit, palette, CMYK, transparent, rotated and animated images with other values than a
person sees. Here every file that is not plainly 8 bits of gray or RGB is refused.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from PIL import ExifTags, Image

from medmamba_monai.data.npz import NpzReference, npz_array
from medmamba_monai.errors import UserError

MAX_PIXELS = 2**26
READABLE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")

_PILLOW_FORMATS = ("PNG", "JPEG", "BMP")
_PNG_HEADER = struct.Struct(">8s4x4s8xBB")  # signature, length, "IHDR", width and height, bit depth, color type
_PNG_PLAIN = {(8, 0), (8, 2)}  # 8-bit gray, 8-bit RGB
_SIGNATURES = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"GIF8": "GIF",
    b"RIFF": "WebP",
    b"\x1f\x8b": "gzip (compressed NIfTI?)",
    b"\x5c\x01\0\0": "NIfTI",
    b"PK": "zip",
}


class ReadImage(Transform):
    """Read one 2D image, or one image or volume of an npz file, as uint8 tensor.

    Args:
        channels: 1 or 3, as the dataset declares. A gray image is repeated for 3; an RGB image whose channels are equal
            becomes gray for 1.
        spatial_dims: 2 for images, 3 for volumes.
        max_pixels: largest image that is decoded; a small file can expand to a large one.
    """

    def __init__(self, channels: int, spatial_dims: int = 2, max_pixels: int = MAX_PIXELS) -> None:
        if channels not in (1, 3):
            raise UserError(f"channels: must be 1 (gray) or 3 (RGB), found {channels!r}")
        if spatial_dims not in (2, 3):
            raise UserError(f"spatial_dims: must be 2 or 3, found {spatial_dims!r}")
        self.channels = channels
        self.spatial_dims = spatial_dims
        self.max_pixels = max_pixels

    def __call__(self, source: str | os.PathLike[str]) -> torch.Tensor:
        """Read an image.

        Args:
            source: a PNG, JPEG or BMP file, or ``file.npz#key[index]``.

        Returns:
            uint8 tensor of shape (channels, rows, columns), or (channels, *volume) from an npz file, values 0 to 255;
            the first row is the top row as a person sees it.

        Raises:
            UserError: the file cannot be read, or what is right for it is not implemented.
        """
        reference = NpzReference.parse(os.fspath(source))
        pixels = self._from_npz(reference) if reference else self._from_file(Path(source))
        return torch.from_numpy(self._as_declared(pixels, str(source)))

    def _from_npz(self, reference: NpzReference) -> np.ndarray:
        array = npz_array(reference.file, reference.key)
        if array.dtype != np.uint8:
            raise UserError(f"{reference}: values are {array.dtype}, expected uint8; scale them to 0-255")
        if not 0 <= reference.index < len(array):
            raise UserError(f"{reference}: the array holds {len(array)} images; run prepare again for this file")
        return array[reference.index]

    def _from_file(self, path: Path) -> np.ndarray:
        if self.spatial_dims != 2:
            raise UserError(f"{path}: volumes are read from npz files only, so far")
        return read_pixels(path, self.max_pixels)

    def _as_declared(self, pixels: np.ndarray, source: str) -> np.ndarray:
        color = pixels.ndim == self.spatial_dims + 1 and pixels.shape[-1] == 3
        if not color and pixels.ndim != self.spatial_dims:
            raise UserError(f"{source}: shape {pixels.shape} is neither gray nor RGB in {self.spatial_dims} dimensions")
        planes = np.moveaxis(pixels, -1, 0) if color else pixels[None]
        if len(planes) == self.channels:
            return planes.copy()
        if self.channels == 3:
            return np.repeat(planes, 3, axis=0)
        if (planes != planes[:1]).any():
            raise UserError(f"{source}: is a color image, but 1 channel is declared; set channels to 3 in the card")
        return planes[:1].copy()


class ReadImaged(MapTransform):
    """Dictionary version of :class:`ReadImage`.

    Args:
        keys: entries that hold a path, replaced by the tensor.
        channels: see :class:`ReadImage`.
        spatial_dims: see :class:`ReadImage`.
        max_pixels: see :class:`ReadImage`.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        channels: int,
        spatial_dims: int = 2,
        max_pixels: int = MAX_PIXELS,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.read = ReadImage(channels, spatial_dims, max_pixels)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the item with its images read."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = self.read(item[key])
        return item


def read_pixels(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a plain 8-bit gray or RGB file.

    Returns:
        uint8 array of shape (rows, columns) or (rows, columns, 3).

    Raises:
        UserError: anything else; names the file, what it is and what to do.
    """
    try:
        _check_png_header(path)
        with Image.open(path, formats=_PILLOW_FORMATS) as image:
            _check_header(image, path, max_pixels)
            image.verify()  # a PNG's checksums; decoding alone lets some flipped bits pass as other pixels
        with Image.open(path, formats=_PILLOW_FORMATS) as image:
            image.load()
            _check_orientation(image, path)
            return np.asarray(image)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path}: does not exist") from error
    except Image.DecompressionBombError as error:
        raise UserError(_too_large(path, str(error))) from error
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error) as error:
        raise UserError(f"{path}: {_why_unreadable(path, error)}") from error


def _check_png_header(path: Path) -> None:
    with path.open("rb") as stream:
        head = stream.read(_PNG_HEADER.size)
    if len(head) < _PNG_HEADER.size or not head.startswith(b"\x89PNG"):
        return
    bits, color_type = _PNG_HEADER.unpack(head)[-2:]
    if (bits, color_type) not in _PNG_PLAIN:
        kind = {0: "gray", 2: "RGB", 3: "palette", 4: "gray with alpha", 6: "RGB with alpha"}.get(color_type, "unknown")
        raise UserError(_refusal(path, f"a PNG with {bits}-bit {kind} values"))


def _check_header(image: Image.Image, path: Path, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise UserError(_too_large(path, f"{image.width} x {image.height}"))
    if getattr(image, "n_frames", 1) > 1:
        raise UserError(_refusal(path, f"a {image.format} with {getattr(image, 'n_frames', 1)} frames"))
    if image.mode not in ("L", "RGB"):
        raise UserError(_refusal(path, f"a {image.format} of mode {image.mode}"))
    if "transparency" in image.info:
        raise UserError(_refusal(path, f"a {image.format} with transparent values"))


def _check_orientation(image: Image.Image, path: Path) -> None:
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    if orientation in range(2, 9):
        raise UserError(_refusal(path, f"a {image.format} that its EXIF orientation {orientation} rotates or mirrors"))


def _refusal(path: Path, kind: str) -> str:
    return f"{path}: is {kind}, which is not supported yet; convert it to 8-bit gray or RGB PNG"


def _too_large(path: Path, size: str) -> str:
    return f"{path}: is too large to decode ({size}); crop it, or raise max_pixels if it is meant"


def _why_unreadable(path: Path, error: Exception) -> str:
    if path.is_dir():
        return "is a folder, not an image"
    if isinstance(error, PermissionError):
        return "may not be read; change its permissions"
    with path.open("rb") as stream:
        head = stream.read(132)
    if not head:
        return "is empty; get it again"
    if head[128:] == b"DICM":
        return "is a DICOM file, which is not supported yet; convert it to 8-bit gray or RGB PNG"
    for signature, kind in _SIGNATURES.items():
        if head.startswith(signature):
            return f"is a {kind} file, which is not supported yet; convert it to 8-bit gray or RGB PNG"
    return f"is damaged or no PNG, JPEG or BMP file ({error}); get it again or convert it"
