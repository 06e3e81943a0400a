"""A decoded file before any rule of intensity is applied, and the bounds on reading one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.origin import Origin

MAX_PIXELS = 2**26
MAX_BYTES = 2**31
MAX_FRAMES = 2**16
"""Most frames of one file; counting or listing more takes minutes, and no set of images has them."""
_EIGHT_BITS = (0.0, 255.0)
_SLACK = 2**24  # bytes of what a file holds beside its header and pixels

FileFormat = Literal["picture", "DICOM", "NIfTI", "MGH", "NRRD", "MetaImage", "npz", "slide", "array"]
"""Which reader read a file; an array is what was in memory already."""

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
            raise UserError(f"{name}: has the size {_format_size(size)}; download it again")
        if math.prod(size) > self.pixels:
            raise UserError(
                f"{name}: is too large to decode ({_format_size(size)}); crop it, or raise max_pixels if meant"
            )
        if math.prod(size) * bytes_per_pixel > self.bytes:
            raise self.explain_excess(name)

    def bound(self, told: float) -> int:
        """Return how many bytes to inflate where a header tells of so many: 16 MiB more, for what is beside pixels."""
        return min(self.bytes, int(told) + _SLACK)

    def explain_excess(self, name: str, bound: int | None = None) -> UserError:
        """Return the error for more bytes than allowed, or than a bound."""
        if bound is not None and bound < self.bytes:
            return UserError(
                f"{name}: expands to {bound} bytes and more, which its header does not tell; download it again"
            )
        return UserError(f"{name}: expands to more than {self.bytes} bytes; crop it, or raise max_bytes if meant")


class Display(Protocol):
    """How a file asks to be shown; its text says how, in the same words for the same display."""

    @property
    def usable(self) -> bool:
        """Whether values can be shown so."""

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Convert values from the file's units to 0 to 255."""


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
        window: center and width, where that is how the file asks to be shown.
        display: how the file asks to be shown, where it asks for something.
        frames: how many frames the file has.
        format: which reader read it.
        origin: facts of the file that say nothing of what it shows.
        spacing: size of a voxel of a volume in mm along x, y and z; None where it is not known.
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
    display: Display | None = None
    frames: int = 1
    format: FileFormat = "picture"
    origin: Origin = field(default_factory=dict)
    spacing: tuple[float, float, float] | None = None

    def get_visible_values(self) -> np.ndarray:
        """Return the finite values outside padding, as one axis."""
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
        minimum: smallest finite value outside padding, in the file's units; NaN where there is none: leave it out of a
            minimum over several images.
        maximum: largest such value; NaN likewise.
        nominal: the full range of the file's type; None for floating point.
        window: center and width of the file's own window, where that is what it is shown by.
        non_finite: number of values that are NaN or infinite.
        has_display: whether the file itself says how it looks: by a window or VOI LUT that all its slices share, or by
            8-bit values from black to white.
        display: what it is shown by where nothing is declared, in words that are equal for equal rules:
            ``window 40, 400`` (with its function, unless that is LINEAR), ``VOI LUT ...``, ``full range`` of the type,
            ``windows differ`` between slices, or ``not known``.
        needs_range: whether `ReadImage` refuses it unless `window` or `intensity_range` is declared.
        format: which reader read it.
        has_own_window: whether the file itself says, by a window or a table, which values are black and white.
        origin: facts of the file that say nothing of what it shows, such as its compression; texts as digests.
        spacing: size of a voxel of a volume in mm along x, y and z; None where it is not known.
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
    has_display: bool = True
    display: str = "full range"
    needs_range: bool = False
    format: FileFormat = "picture"
    has_own_window: bool = False
    origin: Origin = field(default_factory=dict, compare=False, repr=False)
    spacing: tuple[float, float, float] | None = None


def describe_raw_image(raw: RawImage) -> ImageFacts:
    """Describe a decoded image."""
    visible = raw.get_visible_values()
    usable = raw.has_default and raw.nominal is not None if raw.display is None else raw.display.usable
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
        has_display=usable and (raw.display is not None or raw.nominal == _EIGHT_BITS),
        display=str(raw.display or ("full range" if usable else "not known")),
        needs_range=not usable,
        format=raw.format,
        has_own_window=raw.display is not None,
        origin=raw.origin,
        spacing=raw.spacing,
    )


def check_frame_count(name: str, frames: int) -> int:
    """Return a number of frames, unless it is too large.

    Raises:
        UserError: it is.
    """
    if frames > MAX_FRAMES:
        raise UserError(f"{name}: has {frames} frames, more than the {MAX_FRAMES} that are read; split it")
    return frames


def choose_frame(name: str, frames: int, frame: Frame) -> int:
    """Choose the index of the frame to read.

    Raises:
        UserError: there are several and none is named, or there is no such frame, or there are too many.
    """
    check_frame_count(name, frames)
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


def _format_size(size: Sequence[int]) -> str:
    return " x ".join(str(length) for length in size)
