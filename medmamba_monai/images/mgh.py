"""FreeSurfer's volumes (.mgh, .mgz), through nibabel, in the axes right, anterior and superior (RAS+)."""

from __future__ import annotations

import io
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.freesurfer.mghformat import MGHError, MGHHeader, MGHImage
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from medmamba_monai.core.names import format_path
from medmamba_monai.images.file_errors import explain_file_errors
from medmamba_monai.images.gzip_files import read_content, read_head
from medmamba_monai.images.orientation import orient
from medmamba_monai.images.raw_image import Frame, Limits, RawImage, check_frame_count, choose_frame

MGH_SUFFIXES = (".mgh", ".mgz")

_START = struct.Struct(">6i")  # version, three lengths, frames, type
_DATA_OFFSET = 284
_TYPES = (0, 1, 3, 4, 10)
_NOT_MGH = (MGHError, HeaderDataError, WrapStructError)


def is_mgh(head: bytes) -> bool:
    """Return whether a file that starts so, unpacked, is of FreeSurfer."""
    if len(head) < _START.size:
        return False
    version, *lengths, kind = _START.unpack(head[: _START.size])
    return version == 1 and min(lengths) > 0 and kind in _TYPES


def count_mgh_frames(path: Path) -> int:
    """Return the length of the fourth axis, from the header.

    Raises:
        UserError: the file is damaged.
    """
    with explain_file_errors(path, "a FreeSurfer volume", *_NOT_MGH):
        return check_frame_count(format_path(path), _read_shape(_read_header(path))[3])


def read_mgh(path: Path, spatial_dims: int, frame: Frame, limits: Limits) -> RawImage:
    """Read a volume, or one slice, as :func:`~medmamba_monai.images.nifti.read_nifti` does.

    Raises:
        UserError: it is damaged, too large, or has other dimensions.
    """
    name = format_path(path)
    with explain_file_errors(path, "a FreeSurfer volume", *_NOT_MGH):
        header = _read_header(path)
        shape, dtype = _read_shape(header), header.get_data_dtype()
        limits.check(name, shape[:3], dtype.itemsize * shape[3])
        index = choose_frame(name, shape[3], frame)
        content = read_content(path, _DATA_OFFSET + math.prod(shape) * dtype.itemsize, limits, name)
        image = MGHImage.from_bytes(content)
        stored = np.asanyarray(image.dataobj).reshape(shape, order="F")[..., index]
        directions = np.asarray(image.affine, np.float64)[:3, :3]
    values = stored.astype(dtype.newbyteorder("="))
    nominal = None
    if dtype.kind != "f":
        nominal = float(np.iinfo(values.dtype).min), float(np.iinfo(values.dtype).max)
    raw = RawImage(values, f"MGH {values.dtype}", nominal=nominal, has_default=values.dtype == np.uint8, format="MGH")
    return orient(raw, directions, spatial_dims, name)


def _read_header(path: Path) -> Any:
    return MGHHeader.from_fileobj(io.BytesIO(read_head(path)[0]))


def _read_shape(header: Any) -> tuple[int, ...]:
    return tuple(int(length) for length in header["dims"])
