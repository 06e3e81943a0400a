"""Floating point TIFF of 16 and 64 bits, through tifffile, which Pillow does not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.images.raw_image import Frame, Limits, RawImage, choose_frame

_UNCOMPRESSED, _BLACK_IS_ZERO = 1, 1


def read_float_tiff(path: Path, frame: Frame, frames: int, limits: Limits) -> tuple[RawImage, int]:
    """Read a page as it is stored.

    Args:
        path: a TIFF file that Pillow refused for the type of its pixels.
        frame: which page.
        frames: how many pages it has.
        limits: what it may expand to.

    Returns:
        The image, float32 for 16 bits; and the value of its tag Orientation.

    Raises:
        UserError: it is of another kind, which is not supported.
    """
    name = format_path(path)
    index = choose_frame(name, frames, frame)
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[index]
        limits.check(name, (page.imagewidth, page.imagelength), 8)
        channels, dtype = page.samplesperpixel, page.dtype
        if dtype is None or dtype.kind != "f" or channels != 1 or page.photometric != _BLACK_IS_ZERO:
            kind = "values of an unknown type" if dtype is None else f"values of {dtype.name}"
            raise UserError(
                f"{name}: is a TIFF of {channels} {'channel' if channels == 1 else 'channels'} with {kind} in "
                f"{page.bitspersample} bits, a combination that is not supported; save it as gray, RGB or RGBA"
            )
        if page.compression != _UNCOMPRESSED:  # whose parts may inflate to any size
            raise UserError(f"{name}: is a TIFF of compressed {dtype.name} values; save it uncompressed, or as float32")
        stored = np.asarray(page.asarray(maxworkers=1))
        turned = page.tags.valueof(274, default=1)
    values = stored.astype(np.float32 if dtype.itemsize < 4 else stored.dtype.newbyteorder("="))
    kind = f"TIFF, {dtype.itemsize * 8}-bit floating point gray"
    return RawImage(values, kind, nominal=None, has_default=True, frames=frames), int(turned)
