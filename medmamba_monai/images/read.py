"""Reading of a file as a checked tensor on the scale 0 to 255: the right pixels, or an error that names the file.

The general loaders return 16-bit, palette, CMYK, transparent, rotated and animated images, DICOM and NIfTI with other
values or other axes than a person sees.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from monai.transforms import Transform

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.images.dicom.series import read_slices
from medmamba_monai.images.field_of_view import cut_box, find_box, parse_field_of_view
from medmamba_monai.images.intensity import Background, IntensityRange, Rules, scale_to_display
from medmamba_monai.images.kinds import describe_array, read_raw, read_slide
from medmamba_monai.images.layered_volume import read_overview
from medmamba_monai.images.raw_image import (
    MAX_BYTES,
    MAX_PIXELS,
    Frame,
    ImageFacts,
    Limits,
    RawImage,
    describe_raw_image,
)

Source = str | os.PathLike[str] | np.ndarray | Sequence[Path]
"""What an image is read from, see `ReadImage`."""

READING_VERSION = 2
"""Part of every store's identity: to be raised when the pixels of any file change, read or resized."""


class ReadImage(Transform):
    """Read one image or volume as a plain tensor on the scale 0 to 255.

    What a person sees in the file is what comes out. Where a file leaves that open, such as floating point values,
    transparent pixels or several frames, the answer must be declared; what is declared holds for every file, whatever
    its depth.

    Args:
        channels: 1 or 3, as the dataset declares. A gray image is repeated for 3; an RGB image whose channels are equal
            becomes gray for 1.
        spatial_dims: 2 for images, 3 for volumes.
        dtype: "uint8" (rounded) or "float32" (not rounded).
        intensity_range: the values that become 0 and 255, in the file's units (HU for CT): ``(low, high)``; "full" for
            all that the file's type can hold; "image" for each image's own smallest and largest value. Without it and
            `window`, DICOM is shown by its own window, and whole numbers of pictures and DICOM by their full range;
            floating point values, and NIfTI other than uint8, are an error.
        window: ``(center, width)`` in the file's units; values outside ``center - width / 2`` to ``center + width / 2``
            become 0 and 255. For gray images. Instead of `intensity_range`.
        clip: whether values outside of `intensity_range` become 0 and 255; else they are an error.
        background: 0 to 255, or three of them, that transparent pixels are laid on.
        frame: the frame to read of every file with several; ``path#frame[3]`` names one itself. "all" says that every
            frame is an image of its own, so that each path must name one.
        fill_non_finite: value, in the file's units, that replaces NaN and infinity.
        field_of_view: for volumes: what is shown around their center, in mm along x, y and z or one number for all
            three, rounded to whole voxels; what lies outside a volume is black. By default the whole volume. Scaled to
            n voxels afterwards, each stands for field_of_view / n mm, whatever the file's spacing.
        thumbnail: the files are slides, or volumes larger than memory, each of which is read with at most so many
            pixels along its longest edge.
        max_pixels: largest image or volume that is decoded; a small file can expand to a large one.
        max_bytes: largest size that a file is inflated to.

    Raises:
        UserError: an option is not one of the allowed.
    """

    def __init__(
        self,
        channels: int,
        spatial_dims: int = 2,
        *,
        dtype: Literal["uint8", "float32"] = "uint8",
        intensity_range: IntensityRange = None,
        window: tuple[float, float] | None = None,
        clip: bool = False,
        background: Background = None,
        frame: int | Literal["all"] | None = None,
        fill_non_finite: float | None = None,
        field_of_view: float | Sequence[float] | None = None,
        thumbnail: int | None = None,
        max_pixels: int = MAX_PIXELS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        _check_choice("channels", channels, (1, 3), "1 (gray) or 3 (RGB)")
        _check_choice("spatial_dims", spatial_dims, (2, 3), "2 or 3")
        _check_choice("dtype", dtype, ("uint8", "float32"), '"uint8" or "float32"')
        if frame not in (None, "all") and not (isinstance(frame, int) and frame >= 0):
            raise UserError(f'frame: must be a number from 0 or "all", found {frame!r}')
        self.field_of_view = parse_field_of_view(field_of_view)
        if self.field_of_view is not None and spatial_dims != 3:
            raise UserError(f"field_of_view: is for volumes, but spatial_dims is {spatial_dims}")
        self.channels = channels
        self.spatial_dims = spatial_dims
        self.dtype = dtype
        self.frame: Frame = frame
        self.thumbnail = thumbnail
        self.rules = Rules(intensity_range, window, clip, background, fill_non_finite)
        self.limits = Limits(max_pixels, max_bytes)

    def __repr__(self) -> str:
        """Return the transform with all that decides what it returns."""
        options = f"{self.channels}, {self.spatial_dims}, {self.dtype!r}, frame={self.frame!r}"
        if self.field_of_view is not None:
            options += f", field_of_view={self.field_of_view}"
        options += "" if self.thumbnail is None else f", thumbnail={self.thumbnail}"
        return f"ReadImage({options}, {self.rules}, {self.limits})"

    def __call__(self, source: Source) -> torch.Tensor:
        """Read an image.

        Args:
            source: a PNG, JPEG, BMP, TIFF, GIF, WebP, DICOM, NIfTI, MGH, NRRD or MetaImage file;
                ``path#frame[3]``; ``file.npz#key[index]``; for 3 dimensions also a folder that holds one DICOM series,
                or the paths of its files. An array is taken as what such a file holds: (rows, columns) or (x, y, z),
                with a last axis of 3 where it is RGB.

        Returns:
            Tensor of shape (channels, rows, columns), the first row the top row as a person sees it, or of shape
            (channels, x, y, z) with axes towards right, anterior and superior (RAS+; an npz file's own axes are kept);
            values 0 to 255. No metadata.

        Raises:
            UserError: the file cannot be read, or what is right for it must be declared.
        """
        raw, name = self._raw(source)
        return self._tensor(raw, name)

    def read_with_facts(self, source: Source) -> tuple[torch.Tensor, ImageFacts]:
        """Like calling it, with what else is known of the image, decoded once.

        Raises:
            UserError: as when called.
        """
        raw, name = self._raw(source)
        return self._tensor(raw, name), describe_raw_image(raw)

    def _raw(self, source: Source) -> tuple[RawImage, str]:
        if isinstance(source, np.ndarray):
            return describe_array(source, "an array", self.spatial_dims, self.limits), "an array"
        if not isinstance(source, (str, os.PathLike)):
            return self._read_slices(source)
        if self.thumbnail is not None:
            read_small = read_slide if self.spatial_dims == 2 else read_overview
            return read_small(source, self.thumbnail, self.limits), format_path(source)
        return read_raw(source, self.spatial_dims, self.frame, self.limits), format_path(source)

    def _read_slices(self, files: Sequence[Path]) -> tuple[RawImage, str]:
        if self.spatial_dims != 3:
            raise UserError(f"spatial_dims: is {self.spatial_dims}, but {len(files)} files of one volume are given")
        return read_slices(files, self.limits), f"{format_path(files[0])} and the others of its series"

    def _tensor(self, raw: RawImage, name: str) -> torch.Tensor:
        values, color = scale_to_display(raw, self.rules, name)
        if self.dtype == "uint8" and values.dtype != np.uint8:
            values = np.rint(values)
        planes = np.moveaxis(values, -1, 0) if color else values[None]
        if self.field_of_view is not None:
            planes = cut_box(planes, find_box(planes.shape[1:], raw.spacing, self.field_of_view, name))
        return torch.from_numpy(self._as_declared(planes, name).astype(self.dtype))

    def _as_declared(self, planes: np.ndarray, name: str) -> np.ndarray:
        if len(planes) == self.channels:
            return np.ascontiguousarray(planes)
        if self.channels == 3:
            return np.repeat(planes, 3, axis=0)
        if (planes != planes[:1]).any():
            raise UserError(f"{name}: is a color image, but 1 channel is declared; set channels to 3 in the card")
        return np.ascontiguousarray(planes[:1])


def describe_image(
    source: str | os.PathLike[str],
    spatial_dims: int = 2,
    *,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
) -> ImageFacts:
    """Return what an image is, without any declaration; of several frames the one that is named, else the first.

    Args:
        source: see :class:`ReadImage`.
        spatial_dims: 2 for images, 3 for volumes.
        max_pixels: largest image that is decoded.
        max_bytes: largest size that a file is inflated to.

    Raises:
        UserError: the file cannot be read.
    """
    return describe_raw_image(read_raw(source, spatial_dims, "first", Limits(max_pixels, max_bytes)))


def _check_choice(option: str, value: object, allowed: tuple[object, ...], words: str) -> None:
    if value not in allowed:
        raise UserError(f"{option}: must be {words}, found {value!r}")
