"""What a file holds before any rule of intensity is applied, and the bounds on reading it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medmamba_monai.errors import UserError

MAX_PIXELS = 2**26
MAX_BYTES = 2**31

Frame = int | Literal["all", "first"] | None
"""Which frame: its number, "first" whatever there is, or only of files that have one (None, "all")."""


@dataclass(frozen=True)
class Limits:
    """What a file may expand to.

    Attributes:
        pixels: pixels of an image or voxels of a volume.
        bytes: bytes of its decoded values, and of what is inflated on the way.
    """

    pixels: int = MAX_PIXELS
    bytes: int = MAX_BYTES

    def check(self, name: str, size: Sequence[int], bytes_per_pixel: float) -> None:
        """Refuse a size before anything of it is decoded.

        Raises:
            UserError: an axis is empty, or there are more pixels or bytes than allowed.
        """
        if min(size) < 1:
            raise UserError(f"{name}: has the size {_size(size)}; get it again")
        if math.prod(size) > self.pixels:
            raise UserError(f"{name}: is too large to decode ({_size(size)}); crop it, or raise max_pixels if meant")
        if math.prod(size) * bytes_per_pixel > self.bytes:
            raise self.too_long(name)

    def too_long(self, name: str) -> UserError:
        """The error for more bytes than allowed."""
        return UserError(f"{name}: expands to more than {self.bytes} bytes; crop it, or raise max_bytes if meant")


@dataclass(frozen=True)
class RawImage:
    """One decoded image or volume.

    Attributes:
        values: (rows, columns) from the top as a person sees it, or (x, y, z) towards right, anterior and superior; one
            axis more for RGB. In the file's units: HU for CT, the stored numbers for a PNG.
        kind: what the file is, for people.
        color: whether the last axis is RGB.
        nominal: the values that mean black and white by the file's own type; None for floating point.
        has_default: whether `nominal` is what a person sees where nothing else is declared.
        alpha: opacity of each pixel from 0 to 1, where the file has any.
        hidden: pixels that the file itself calls padding.
        inverted: whether the smallest value is white.
        window: center and width that the file asks for.
        display: from `values` to 0 to 255 as the file asks, where it asks for something.
        frames: how many frames the file has.
    """

    values: np.ndarray
    kind: str
    color: bool = False
    nominal: tuple[float, float] | None = (0.0, 255.0)
    has_default: bool = True
    alpha: np.ndarray | None = None
    hidden: np.ndarray | None = None
    inverted: bool = False
    window: tuple[float, float] | None = None
    display: Callable[[np.ndarray], np.ndarray] | None = None
    frames: int = 1

    def visible_values(self) -> np.ndarray:
        """The finite values outside padding, as one axis."""
        values = self.values if self.hidden is None else self.values[~self.hidden]
        return values[np.isfinite(values)] if values.dtype.kind == "f" else values.reshape(-1)


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image without any declaration.

    Attributes:
        kind: for people, such as "PNG, 16-bit gray" or "DICOM CT, 16-bit signed, MONOCHROME2".
        channels: 1 or 3, as seen: a palette of grays has 1.
        shape: (rows, columns) or (x, y, z).
        transparent: whether a pixel is not fully opaque.
        frames: number of frames in the file; the other facts are of the frame that was read.
        minimum: smallest finite value, in the file's units; NaN if there is none.
        maximum: largest finite value.
        nominal: the full range of the file's type; None for floating point.
        window: center and width that the file asks for.
        non_finite: number of values that are NaN or infinite.
    """

    kind: str
    channels: int
    shape: tuple[int, ...]
    transparent: bool
    frames: int
    minimum: float
    maximum: float
    nominal: tuple[float, float] | None
    window: tuple[float, float] | None
    non_finite: int = 0


def facts_of(raw: RawImage) -> ImageFacts:
    """Look at a decoded image."""
    visible = raw.visible_values()
    non_finite = int(raw.values.size - np.isfinite(raw.values).sum()) if raw.values.dtype.kind == "f" else 0
    return ImageFacts(
        kind=raw.kind,
        channels=3 if raw.color and bool((raw.values != raw.values[..., :1]).any()) else 1,
        shape=raw.values.shape[:-1] if raw.color else raw.values.shape,
        transparent=raw.alpha is not None and bool((raw.alpha < 1).any()),
        frames=raw.frames,
        minimum=float(visible.min()) if visible.size else math.nan,
        maximum=float(visible.max()) if visible.size else math.nan,
        nominal=raw.nominal,
        window=raw.window,
        non_finite=non_finite,
    )


def choose_frame(name: str, frames: int, frame: Frame) -> int:
    """Index of the frame to read.

    Raises:
        UserError: there are several and none is named, or there is no such frame.
    """
    if frame == "first":
        return 0
    if isinstance(frame, int):
        if frame < frames:
            return frame
        raise UserError(f"{name}: has no frame {frame}; it has {frames} frames, and the first is 0")
    if frames == 1:
        return 0
    how = "read it as" if frame == "all" else "choose one with frame=0, or"
    raise UserError(f"{name}: has {frames} frames; {how} {name}#frame[0] and so on")


def _size(size: Sequence[int]) -> str:
    return " x ".join(str(length) for length in size)
