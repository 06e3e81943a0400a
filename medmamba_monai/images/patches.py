"""Patches of a volume: cubes of it that are declared in millimetres or in voxels, of which one layer is in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby, product
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.intensity import Rules, scale_to_display
from medmamba_monai.images.layered_volume import LayeredVolume
from medmamba_monai.images.resize import ResizeImage

Place = tuple[int, int, int]


class Patching(BaseModel):
    """How volumes are cut into patches, as a card declares it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    millimetres_per_voxel: float | None = Field(
        default=None, gt=0, description="edge of a patch's voxel; null: patches have the voxels of each file"
    )
    content_above: int = Field(
        default=10, ge=0, le=254, description="gray from 0 to 255 above which a voxel shows something"
    )
    min_content: float = Field(default=0.1, ge=0, le=1, description="share of a patch's voxels that show something")
    max_patches: int = Field(
        default=10_000,
        ge=1,
        description="patches of one volume at most; of more, as many that are evenly spread are taken",
    )

    def find_edges(self, volume: LayeredVolume, size: int) -> Place:
        """Return the voxels of a volume along x, y and z that make a patch of so many voxels of its own along each."""
        if self.millimetres_per_voxel is None:
            return size, size, size
        x, y, z = (max(1, round(size * self.millimetres_per_voxel / length)) for length in volume.spacing)
        return x, y, z


@dataclass(frozen=True)
class Patches:
    """The patches of a volume that are used.

    Attributes:
        corners: int64 (N, 3), x, y and z of the first voxel of each, in the order in which the file has them.
        edges: voxels of the volume along x, y and z that a patch is made of.
        size: edge of a patch in its own voxels.
        usable: how many show enough, those that are left out by `Patching.max_patches` included.
        total: how many cover the whole volume.
    """

    corners: np.ndarray
    edges: Place
    size: int
    usable: int
    total: int


def choose_rules(reading: Mapping[str, Any]) -> Rules:
    """Return the rules of intensity among the arguments of `ReadImage`."""
    return Rules(**{field.name: reading[field.name] for field in fields(Rules) if field.name in reading})


def find_patches(volume: LayeredVolume, patching: Patching, rules: Rules, size: int) -> Patches:
    """Find the patches of a volume that show something.

    They lie side by side from the first voxel on; the last along an axis ends with the volume and so may cover a part
    of the one before it.

    Args:
        volume: the volume.
        patching: how it is cut.
        rules: of intensity.
        size: edge of a patch in voxels.

    Raises:
        UserError: no patch shows enough, or the volume cannot be read.
    """
    edges = patching.find_edges(volume, size)
    starts = [_list_starts(length, edge) for length, edge in zip(volume.shape, edges, strict=True)]
    starts[volume.axis] = volume.order(starts[volume.axis])
    order = sorted(range(3), key=lambda axis: axis != volume.axis)
    grid = [
        tuple(place[order.index(axis)] for axis in range(3)) for place in product(*(starts[axis] for axis in order))
    ]
    found = [
        corner
        for corner, gray in _read_boxes(volume, grid, edges, rules)
        if (share := float((gray > patching.content_above).mean())) >= patching.min_content and share > 0
    ]
    if not found:
        raise UserError(
            f"{volume.name}: shows nothing: none of its {len(grid):,} patches of {' x '.join(map(str, edges))} voxels "
            f"is brighter than {patching.content_above} of 255 on at least {patching.min_content:.0%}; look at the "
            "volume, or choose another intensity_range, or a smaller min_content, in the card"
        )
    kept = np.linspace(0, len(found) - 1, min(len(found), patching.max_patches)).round().astype(int)
    return Patches(np.array(found, np.int64)[kept], edges, size, len(found), len(grid))


def read_patches(
    volume: LayeredVolume, corners: np.ndarray, edges: Place, size: int, rules: Rules
) -> Iterator[np.ndarray]:
    """Yield patches in the order of their corners; where a volume ends before a patch does, the patch is black.

    Args:
        volume: the volume.
        corners: (N, 3), see `Patches`.
        edges: see `Patches`.
        size: edge of a patch in voxels.
        rules: of intensity.

    Yields:
        uint8 (size, size, size), in x, y and z.

    Raises:
        UserError: the volume cannot be read.
    """
    resize = ResizeImage([size] * 3)
    for _, gray in _read_boxes(volume, [tuple(corner) for corner in corners.tolist()], edges, rules):
        whole = np.zeros(edges, np.uint8)
        whole[tuple(slice(length) for length in gray.shape)] = gray
        yield resize(torch.from_numpy(whole)[None])[0].numpy()


def _list_starts(length: int, edge: int) -> list[int]:
    return sorted({max(0, min(start, length - edge)) for start in range(0, length, edge)})


def _read_boxes(
    volume: LayeredVolume, corners: Sequence[Any], edges: Place, rules: Rules
) -> Iterator[tuple[Place, np.ndarray]]:
    """Yield boxes of a volume as uint8 (x, y, z), those of one layer after the other; smaller where the volume ends."""
    depth, axis = edges[volume.axis], volume.axis
    for first, of_layer in groupby(corners, key=lambda corner: corner[axis]):
        layer = volume.read(first, min(first + depth, volume.shape[axis]))
        for corner in of_layer:
            box = [slice(start, start + edge) for start, edge in zip(corner, edges, strict=True)]
            box[axis] = slice(None)
            gray, _ = scale_to_display(volume.describe(layer[tuple(box)]), rules, volume.name)
            yield corner, gray if gray.dtype == np.uint8 else np.rint(gray).astype(np.uint8)
