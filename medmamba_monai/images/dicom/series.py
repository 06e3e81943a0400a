"""DICOM volumes: the slices of one series in the order of their positions, in the axes of NIfTI (RAS+)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation
from pydicom.dataset import Dataset, FileDataset

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.images.dicom.decode import check_pixels
from medmamba_monai.images.dicom.header import (
    BrokenAttributeError,
    PixelKind,
    blame_attribute,
    count_header_frames,
    get_functional_group,
    read_code,
    read_integer,
    read_pixel_kind,
)
from medmamba_monai.images.dicom.open import open_dicom
from medmamba_monai.images.dicom.recognize import DICOM_SUFFIXES, HEAD_BYTES, is_dicom
from medmamba_monai.images.dicom.values import interpret_frame
from medmamba_monai.images.dicom.window import UnusableDisplay, find_common_display
from medmamba_monai.images.file_errors import explain_file_errors
from medmamba_monai.images.orientation import LPS_TO_RAS, turn_spacing
from medmamba_monai.images.raw_image import Limits, RawImage, check_frame_count

_MAX_COSINE_DIFFERENCE = 1e-3
_MAX_SPACING_DIFFERENCE = 0.01


@dataclass(frozen=True)
class Slice:
    """Where one slice is.

    Attributes:
        name: its file, and frame where that has several.
        size: rows and columns.
        along_row: direction cosines towards the next column, in the patient's axes (LPS).
        along_column: direction cosines towards the next row.
        position: center of the first pixel, in mm.
        spacing: distance of rows and of columns in mm; None where it is not told.
        pixels: what its pixels are.
    """

    name: str
    size: tuple[int, int]
    along_row: np.ndarray
    along_column: np.ndarray
    position: np.ndarray
    spacing: np.ndarray | None
    pixels: PixelKind

    @property
    def normal(self) -> np.ndarray:
        """Unit vector at a right angle to the slice."""
        return np.cross(self.along_row, self.along_column)


def read_series(folder: Path, limits: Limits) -> RawImage:
    """Read the one series that a folder holds as a volume.

    The slices are ordered by their positions. Nothing is resampled: a scan with a tilted gantry keeps its shear.
    Hidden files, files that are no DICOM, and DICOM files without an image, such as reports, are left out.

    Args:
        folder: its files; not what is in folders below.
        limits: what the volume may expand to.

    Returns:
        (x, y, z) towards right, anterior and superior, in rescaled units.

    Raises:
        UserError: there are several series, or the slices are not one regular stack.
    """
    return read_slices(_find_series(folder, limits), limits)


def read_slices(files: Sequence[Path], limits: Limits) -> RawImage:
    """Read files of one series as a volume, see `read_series`; one file may hold all slices as its frames.

    Raises:
        UserError: a file cannot be read, or the slices are not one regular stack.
    """
    slices, raws = [], []
    for path in files:
        name = format_path(path)
        with open_dicom(path, limits) as file:
            several = count_header_frames(file.header) > 1
            if several and len(files) == 1:
                return read_multiframe(path, limits)
            if several:
                raise UserError(f"{name}: is a volume of its own, beside {len(files) - 1} files of its series")
            pixels = check_pixels(file, len(files), limits)
            slices.append(_read_slice(file.header, 0, name))
            raws.append(interpret_frame(pixels.decode(0), file.header, 0, name))
    return _make_volume(slices, raws)


def read_multiframe(path: Path, limits: Limits) -> RawImage:
    """Read all frames of a file as a volume.

    Args:
        path: a DICOM file with several frames, each with its position.
        limits: what the volume may expand to.

    Returns:
        (x, y, z) as `read_series`.

    Raises:
        UserError: it has one frame, or its frames have no positions or are not one regular stack.
    """
    name = format_path(path)
    with open_dicom(path, limits) as file:
        header = file.header
        frames = check_frame_count(name, count_header_frames(header))
        pixels = check_pixels(file, frames, limits)
        if frames == 1:
            raise UserError(f"{name}: is one slice; name the folder that holds all slices of its series")
        slices = [_read_slice(header, index, f"{name}#frame[{index}]") for index in range(frames)]
        raws = [interpret_frame(pixels.decode(index), header, index, name) for index in range(frames)]
    return _make_volume(slices, raws)


def _find_series(folder: Path, limits: Limits) -> list[Path]:
    series: dict[str, list[Path]] = defaultdict(list)
    kinds: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith(".") and _looks_like_dicom(path):
            with open_dicom(path, limits) as file:
                if "Rows" in file.header:
                    uid = str(file.header.get("SeriesInstanceUID") or "")
                    series[uid].append(path)
                    kinds.setdefault(uid, _describe_series(file.header))
    if not series:
        raise UserError(f"{format_path(folder)}: is a folder without DICOM images")
    if len(series) > 1:
        listed = "; ".join(f"{len(files)} files ({kinds[uid]})" for uid, files in series.items())
        raise UserError(
            f"{format_path(folder)}: holds {len(series)} series: {listed}; put each into a folder of its own"
        )
    return next(iter(series.values()))


def _describe_series(header: FileDataset) -> str:
    size = f"{read_integer(header, 'Rows', 0)} x {read_integer(header, 'Columns', 0)}"
    return f"{read_code(header, 'Modality')}, {size}"


def _looks_like_dicom(path: Path) -> bool:
    if path.name.lower() == "dicomdir":
        return False
    with explain_file_errors(path, "a DICOM file"), path.open("rb") as stream:
        return is_dicom(stream.read(HEAD_BYTES)) or path.name.lower().endswith(DICOM_SUFFIXES)


def _read_slice(header: FileDataset, index: int, name: str) -> Slice:
    plane = get_functional_group(header, index, "PlanePositionSequence") or header
    turned = get_functional_group(header, index, "PlaneOrientationSequence") or header
    place = _read_numbers(plane, "ImagePositionPatient", 3)
    directions = _read_numbers(turned, "ImageOrientationPatient", 6)
    if place is None or directions is None:
        raise UserError(
            f"{name}: has no ImagePositionPatient or ImageOrientationPatient, without which the order and direction of "
            "slices are unknown; read its frames in 2 dimensions"
        )
    if plane is header and count_header_frames(header) > 1:
        raise UserError(f"{name}: tells no position of its single frames; read them in 2 dimensions")
    size = (read_integer(header, "Rows"), read_integer(header, "Columns"))
    spacing = _read_spacing(get_functional_group(header, index, "PixelMeasuresSequence") or header)
    return Slice(name, size, directions[:3], directions[3:], place, spacing, read_pixel_kind(header))


def _read_spacing(measures: Dataset) -> np.ndarray | None:
    """Return the distance of rows and of columns; None also where it has no meaning: few read it."""
    try:
        return _read_numbers(measures, "PixelSpacing", 2)
    except BrokenAttributeError:
        return None


def _read_numbers(item: Dataset, keyword: str, count: int) -> np.ndarray | None:
    """Return so many numbers; None where there are none, or another number of them."""
    with blame_attribute(keyword):
        values = item.get(keyword)
        if values is None or isinstance(values, (str, bytes)) or len(values) != count:
            return None
        numbers = np.array(values, np.float64)
    if not np.isfinite(numbers).all():
        raise BrokenAttributeError(keyword, "is not finite")
    return numbers


def _make_volume(slices: Sequence[Slice], raws: Sequence[RawImage]) -> RawImage:
    first = slices[0]
    for other in slices[1:]:
        _check_alike(first, other)
    if not 0.99 < np.linalg.norm(first.normal) < 1.01:
        raise UserError(f"{first.name}: its ImageOrientationPatient is no pair of unit vectors at a right angle")
    places = np.array([item.position @ first.normal for item in slices])
    order = np.argsort(places, kind="stable")
    ordered = [slices[index] for index in order]
    _check_spacing(ordered, places[order])
    affine = np.eye(4)
    across = ordered[-1].position - ordered[0].position if len(ordered) > 1 else first.normal
    steps = (first.along_row, first.along_column, across)
    affine[:3, :3] = LPS_TO_RAS @ np.stack(steps, axis=1)
    orientation = io_orientation(affine)
    volume = _stack([raws[index] for index in order], orientation, ordered)
    return replace(volume, spacing=_find_spacing(ordered, places[order], orientation))


def _find_spacing(
    slices: Sequence[Slice], places: np.ndarray, orientation: np.ndarray
) -> tuple[float, float, float] | None:
    """Return the size of a voxel; None where a slice tells none, there is only one, or two tell different ones."""
    found = [item.spacing for item in slices]
    first = found[0]
    if first is None or len(slices) < 2 or any(other is None or not np.allclose(first, other) for other in found):
        return None
    rows, columns = (float(distance) for distance in first)
    return turn_spacing((columns, rows, float(np.diff(places).mean())), orientation)


def _check_alike(first: Slice, other: Slice) -> None:
    if first.size != other.size:
        raise UserError(f"{other.name}: is {other.size} pixels, but {first.name} of the same series {first.size}")
    differences = np.abs([first.along_row - other.along_row, first.along_column - other.along_column])
    if differences.max() > _MAX_COSINE_DIFFERENCE:
        raise UserError(
            f"{other.name}: is turned otherwise than {first.name} of the same series; a localizer? move one away"
        )


def _check_spacing(slices: Sequence[Slice], places: np.ndarray) -> None:
    gaps = np.diff(places)
    for gap, (before, after) in zip(gaps, pairwise(slices), strict=True):
        if gap <= 1e-3 * gaps.max():
            raise UserError(
                f"{before.name}: is at the same position as {after.name}; move one away, or separate phases of the scan"
            )
    usual = np.sort(gaps)[(len(gaps) - 1) // 2] if len(gaps) else 0  # of two, the smaller: slices are rather missing
    for gap, (before, after) in zip(gaps, pairwise(slices), strict=True):
        if abs(gap - usual) > _MAX_SPACING_DIFFERENCE * usual:
            raise UserError(
                f"{before.name}: is {gap:.4g} mm from {after.name}, others {usual:.4g} mm; a slice is missing or extra"
            )


def _stack(raws: Sequence[RawImage], orientation: np.ndarray, slices: Sequence[Slice]) -> RawImage:
    first, before = raws[0], slices[0]
    for raw, other in zip(raws, slices, strict=True):
        if (other.pixels, raw.color, raw.inverted) != (before.pixels, first.color, first.inverted):
            raise UserError(f"{other.name}: is {other.pixels}, but {before.name} of the same series {before.pixels}")
    ranges = [raw.nominal for raw in raws if raw.nominal is not None]
    hidden = None
    if any(raw.hidden is not None for raw in raws):
        masks = [np.zeros(raw.values.shape, bool) if raw.hidden is None else raw.hidden for raw in raws]
        hidden = _turn_to_ras(masks, orientation)
    display = find_common_display([raw.display for raw in raws], [item.name for item in slices])
    return replace(
        first,
        values=_turn_to_ras([raw.values for raw in raws], orientation),
        hidden=hidden,
        nominal=(min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None,
        window=None if isinstance(display, UnusableDisplay) else first.window,
        display=display,
        frames=1,
    )


def _turn_to_ras(planes: Sequence[np.ndarray], orientation: np.ndarray) -> np.ndarray:
    """Turn (rows, columns[, 3]) of each slice to (x, y, z[, 3])."""
    return apply_orientation(np.stack(planes, axis=2).swapaxes(0, 1), orientation)
