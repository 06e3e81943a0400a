"""Volumes that are larger than memory: NIfTI files of which some slices are read at a time.

The voxels of a NIfTI file lie slice by slice along its last axis, so that a layer of slices is one piece of the file. A
packed file (.nii.gz) is unpacked up to the layer, and layer after layer in one go.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from nibabel.fileslice import fileslice
from nibabel.orientations import apply_orientation, io_orientation

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.images.file_errors import check_regular_file, explain_file_errors
from medmamba_monai.images.gzip_files import unpack
from medmamba_monai.images.nifti import (
    NOT_NIFTI,
    check_header,
    count_frames_of,
    get_shape,
    make_raw_image,
    read_directions,
    read_header,
)
from medmamba_monai.images.orientation import turn_spacing
from medmamba_monai.images.raw_image import Limits, RawImage


class LayeredVolume:
    """An open volume. A context manager; to be used by one thread at a time.

    All axes are those of RAS+, as of volumes that are read whole.

    Attributes:
        name: of its file, for messages.
        shape: voxels along x, y and z.
        spacing: size of a voxel in mm along x, y and z.
        axis: which of them the layers follow one another along.
        reversed: whether the last layer comes first in the file.

    Args:
        path: a NIfTI file, packed or not.
        limits: what may be in memory of it at a time.

    Raises:
        UserError: it is no NIfTI file, a pair of files, damaged, of colors or of several volumes.
    """

    def __init__(self, path: str | os.PathLike[str], limits: Limits) -> None:
        self.name = format_path(path)
        self._path, self._limits = Path(path), limits
        check_regular_file(self._path)
        with explain_file_errors(self._path, "a NIfTI image", *NOT_NIFTI):
            self._header = read_header(self._path)
            check_header(self._header, self.name)
            self._refuse_others()
            directions = read_directions(self._header, self.name)
            slope, intercept = self._header.get_slope_inter()
        affine = np.eye(4)
        affine[:3, :3] = directions
        self._scaling = 1.0 if slope is None else slope, 0.0 if intercept is None else intercept
        self._stored = get_shape(self._header)
        self._orientation = io_orientation(affine)
        places = {int(axis): number for number, axis in enumerate(self._orientation[:, 0])}
        self.shape = (self._stored[places[0]], self._stored[places[1]], self._stored[places[2]])
        self.spacing = turn_spacing(np.linalg.norm(directions, axis=0), self._orientation)
        self.axis = int(self._orientation[2, 0])
        self.reversed = bool(self._orientation[2, 1] < 0)
        self._stack = ExitStack()
        self._file: BinaryIO | None = None

    def __enter__(self) -> LayeredVolume:
        """Return the volume."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._stack.close()

    def read(self, first: int, last: int) -> np.ndarray:
        """Read a layer.

        Args:
            first: its first slice along `axis`.
            last: the slice after its last one.

        Returns:
            Stored values (x, y, z), ``last - first`` of them along `axis`.

        Raises:
            UserError: the file is damaged there, or the layer is larger than the limits.
        """
        dtype = self._header.get_data_dtype()
        shape = tuple(last - first if axis == self.axis else length for axis, length in enumerate(self.shape))
        self._limits.check(f"{self.name}, {last - first} slices of it", shape, dtype.itemsize)
        length = self.shape[self.axis]
        start, stop = (length - last, length - first) if self.reversed else (first, last)
        with explain_file_errors(self._path, "a NIfTI image", *NOT_NIFTI):
            layer = (slice(None), slice(None), slice(start, stop))
            stored = fileslice(self._open(), layer, self._stored, dtype, self._header.get_data_offset(), order="F")
        return np.asarray(apply_orientation(stored, self._orientation))

    def order(self, places: Sequence[int]) -> list[int]:
        """Return places along `axis` in the order in which the file has them."""
        return sorted(places, reverse=self.reversed)

    def describe(self, stored: np.ndarray) -> RawImage:
        """Return stored values as a volume of their own, scaled by the header's slope and intercept."""
        raw = make_raw_image(stored, self._header.get_data_dtype(), *self._scaling)
        return replace(raw, spacing=self.spacing)

    def _open(self) -> BinaryIO:
        """Return what reads the file unpacked; it stays open, so that a packed one is not unpacked anew each time."""
        if self._file is None:
            self._file = unpack(self._stack.enter_context(self._path.open("rb")))[0]
        return self._file

    def _refuse_others(self) -> None:
        if self._header["magic"].item() not in (b"n+1", b"n+2"):
            raise UserError(f"{self.name}: is a pair of files; convert it to one .nii, of which patches can be read")
        if self._header.get_data_dtype().names is not None:
            raise UserError(f"{self.name}: is a color volume; patches are read of gray ones")
        if (frames := count_frames_of(self._header)) > 1:
            raise UserError(f"{self.name}: holds {frames} volumes; split it, patches are read of files with one")


def read_overview(path: str | os.PathLike[str], edge: int, limits: Limits) -> RawImage:
    """Read a volume with at most so many voxels along its longest axis, each a voxel of the file, slice by slice.

    Raises:
        UserError: see `LayeredVolume`.
    """
    with LayeredVolume(path, limits) as volume:
        step = -(-max(volume.shape) // edge)
        every = [slice(None, None, step)] * 3
        every[volume.axis] = slice(None)
        places = range(0, volume.shape[volume.axis], step)
        slices = {place: volume.read(place, place + 1)[tuple(every)].copy() for place in volume.order(places)}
        raw = volume.describe(np.concatenate([slices[place] for place in places], axis=volume.axis))
    x, y, z = volume.spacing
    return replace(raw, spacing=(x * step, y * step, z * step))
