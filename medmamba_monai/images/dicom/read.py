"""Single frames of DICOM files, in the units of their file."""

from __future__ import annotations

from pathlib import Path

from medmamba_monai.core.names import format_path
from medmamba_monai.images.dicom.decode import check_pixels
from medmamba_monai.images.dicom.header import count_header_frames
from medmamba_monai.images.dicom.open import open_dicom
from medmamba_monai.images.dicom.values import interpret_frame
from medmamba_monai.images.raw_image import Frame, Limits, RawImage, choose_frame


def count_dicom_frames(path: Path) -> int:
    """Return the number of frames of a DICOM file, from its header.

    Raises:
        UserError: the file is damaged.
    """
    with open_dicom(path, Limits()) as file:
        return count_header_frames(file.header)


def read_dicom(path: Path, frame: Frame, limits: Limits) -> RawImage:
    """Read one frame.

    Args:
        path: a file for which `is_dicom` holds.
        frame: which frame; needed where there are several.
        limits: what it may expand to.

    Returns:
        (rows, columns) in rescaled units such as HU, or (rows, columns, 3) for colors; as stored, so that the first row
        is the top.

    Raises:
        UserError: the file is damaged, too large, holds no pixels or several frames, or needs a decoder that is not
            installed.
    """
    name = format_path(path)
    with open_dicom(path, limits) as file:
        index = choose_frame(name, count_header_frames(file.header), frame)
        pixels = check_pixels(file, 1, limits)
        return interpret_frame(pixels.decode(index), file.header, index, name)
