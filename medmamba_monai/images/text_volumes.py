"""Images with a text header, NRRD and MetaImage, as RGB or gray values in the axes that a person sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.orientation import orient
from medmamba_monai.images.raw_data import RawData, make_nominal
from medmamba_monai.images.raw_image import FileFormat, Frame, Limits, RawImage, choose_frame


@dataclass(frozen=True)
class TextHeader:
    """What a header says.

    Attributes:
        format: which kind it is.
        data: where the values are.
        spatial: the axes of space, two or three, as indices of the shape.
        channels: the axis of colors.
        frames: the axis of frames.
        alpha: whether the last of four colors is opacity.
        directions: (3, 3), where a step along each axis of space (column) leads in RAS; None where it is not told.
    """

    format: FileFormat
    data: RawData
    spatial: tuple[int, ...]
    channels: int | None = None
    frames: int | None = None
    alpha: bool = False
    directions: np.ndarray | None = None

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return 1 if self.frames is None else self.data.shape[self.frames]


def read_text_volume(header: TextHeader, spatial_dims: int, frame: Frame, limits: Limits, name: str) -> RawImage:
    """Read the values of a header.

    A flat image of two axes comes back as its rows, whose first is the top.

    Args:
        header: what is read.
        spatial_dims: 2 or 3.
        frame: which of several frames.
        limits: what it may expand to.
        name: the file, for errors.

    Raises:
        UserError: it is damaged, too large, of unknown orientation, or has other dimensions.
    """
    shape = header.data.shape
    size = tuple(shape[axis] for axis in header.spatial)
    rest = header.num_frames * (1 if header.channels is None else shape[header.channels])
    limits.check(name, size, header.data.dtype.itemsize * rest)
    index = choose_frame(name, header.num_frames, frame)
    _check_colors(header, name)
    raw = _make_raw_image(header, index, header.data.read(limits, name))
    if header.directions is not None:
        return orient(_deepen(raw, len(size)), header.directions, spatial_dims, name)
    if len(size) == 2 and spatial_dims == 2:
        values, alpha = raw.values.swapaxes(0, 1), None if raw.alpha is None else raw.alpha.swapaxes(0, 1)
        return RawImage(values, raw.kind, raw.color, raw.nominal, raw.has_default, alpha, format=header.format)
    if len(size) == 2:
        raise UserError(
            f"{name}: is flat ({size[0]} x {size[1]}), but 3 dimensions are declared; set spatial_dims to 2"
        )
    raise UserError(
        f"{name}: does not tell its orientation, and programs disagree on what holds then; write it with its space and "
        "directions, or convert it to NIfTI"
    )


def _check_colors(header: TextHeader, name: str) -> None:
    if header.channels is None:
        return
    count, dtype = header.data.shape[header.channels], header.data.dtype
    if dtype.kind != "u" or not (count == 3 or (count == 4 and header.alpha)):
        raise UserError(
            f"{name}: has {count} values of {dtype.name} a pixel, which are no colors that are known; keep one of them"
        )


def _make_raw_image(header: TextHeader, index: int, values: np.ndarray) -> RawImage:
    order = [*header.spatial, *(axis for axis in (header.channels, header.frames) if axis is not None)]
    values = values.transpose(order)
    if header.frames is not None:
        values = values[..., index]
    dtype, color, alpha = values.dtype, header.channels is not None, None
    if color and values.shape[-1] == 4:
        alpha = values[..., 3].astype(np.float32) / np.float32(np.iinfo(dtype).max)
        values = values[..., :3]
    kind = f"{header.format} {'RGB ' if color else ''}{dtype.name}"
    return RawImage(values, kind, color, make_nominal(dtype), dtype == np.uint8, alpha, format=header.format)


def _deepen(raw: RawImage, axes: int) -> RawImage:
    """Return a slice that stands in space as a volume of depth 1."""
    if axes == 3:
        return raw
    values = np.expand_dims(raw.values, 2)
    alpha = None if raw.alpha is None else np.expand_dims(raw.alpha, 2)
    return RawImage(values, raw.kind, raw.color, raw.nominal, raw.has_default, alpha, format=raw.format)
