"""Random flips, turns, scalings and shifts: matrices for the images of a batch, and one sampling grid for them all.

Matrices take a place in the result to the place in the image that it shows, in pixels from the center, one axis after
the other, as MONAI's do. The grid is a sum of one vector for each axis, which are computed in float64 on the CPU. So it
is the same on every device, and no matrix product of lower precision blurs it, as TF32 would in torch's `affine_grid`.

Own code, since MONAI's transforms take one image at a time, and kornia's draw for a batch and not for an image; what
would remain of kornia is torch's `grid_sample`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.augment.step import RandomStep, read_range, send, spread

Padding = Literal["border", "zeros", "reflection"]


class RandomGeometry(RandomStep):
    """A random transform that is a matrix for each image.

    Attributes:
        padding_mode: what is seen beyond the border; None where nothing beyond it is seen.
    """

    padding_mode: Padding | None = None

    @abstractmethod
    def make_matrices(self, indices: np.ndarray, spatial_shape: Sequence[int]) -> np.ndarray:
        """Return homogeneous matrices of some images, float64 (B, D + 1, D + 1) for D axes."""

    def apply(self, images: torch.Tensor, indices: np.ndarray) -> torch.Tensor:
        """Change a batch ``(B, C, *spatial)``; returns a new one."""
        return sample(images, self.make_matrices(indices, images.shape[2:]), self.padding_mode or "border")


class RandomFlipd(RandomGeometry):
    """Mirror images along an axis; a batch of what MONAI's `RandFlipd` does.

    Args:
        prob: how likely an image is mirrored.
        spatial_axis: which axis, from 0.
        key: entry of the image.
    """

    def __init__(self, prob: float = 0.1, spatial_axis: int = 0, key: str = "image") -> None:
        super().__init__(0, prob, key)
        self.spatial_axis = spatial_axis

    def make_matrices(self, indices: np.ndarray, spatial_shape: Sequence[int]) -> np.ndarray:
        """Return the matrices, see `RandomGeometry`.

        Raises:
            UserError: the images do not have this axis.
        """
        if not 0 <= self.spatial_axis < len(spatial_shape):
            raise UserError(f"RandomFlipd: spatial_axis {self.spatial_axis}, but images have {len(spatial_shape)} axes")
        changed, _ = self.draw(indices)
        matrices = _make_identities(len(indices), len(spatial_shape))
        matrices[changed, self.spatial_axis, self.spatial_axis] = -1
        return matrices


class RandomRotate90d(RandomGeometry):
    """Turn images by one to three quarters; a batch of what MONAI's `RandRotate90d` does.

    Args:
        prob: how likely an image is turned.
        max_k: the most quarters.
        spatial_axes: the two axes of the plane, of equal length.
        key: entry of the image.
    """

    def __init__(
        self, prob: float = 0.1, max_k: int = 3, spatial_axes: tuple[int, int] = (0, 1), key: str = "image"
    ) -> None:
        super().__init__(1, prob, key)
        self.max_k, self.spatial_axes = max_k, (spatial_axes[0], spatial_axes[1])

    def make_matrices(self, indices: np.ndarray, spatial_shape: Sequence[int]) -> np.ndarray:
        """Return the matrices, see `RandomGeometry`.

        Raises:
            UserError: the plane is no square.
        """
        first, second = self.spatial_axes
        if spatial_shape[first] != spatial_shape[second]:
            raise UserError(f"RandomRotate90d: a quarter turn needs equal sides, found {tuple(spatial_shape)}")
        changed, numbers = self.draw(indices)
        quarters = np.where(changed, 1 + np.floor(self.max_k * numbers[:, 0]), 0).astype(int)
        return _rotate(quarters, first, second, len(spatial_shape))


class RandomAffined(RandomGeometry):
    """Turn, shift and scale images a little; a batch of what MONAI's `RandAffined` does, with linear interpolation.

    A range is a number r, for [-r, r], or a pair.

    Args:
        prob: how likely an image is changed.
        rotate_range: of the angles in radians: of 2D images one, of volumes one around each axis.
        translate_range: of the shift along each axis, in pixels; empty for none.
        scale_range: of what is added to 1 for the scale of each axis; empty for none. Above 1, more is seen.
        padding_mode: what is seen beyond the border: ``border``, ``zeros`` or ``reflection``.
        key: entry of the image.

    Raises:
        UserError: a range or the padding is none.
    """

    def __init__(
        self,
        prob: float = 0.1,
        rotate_range: Sequence[Any] = (),
        translate_range: Sequence[Any] = (),
        scale_range: Sequence[Any] = (),
        padding_mode: Padding = "border",
        key: str = "image",
    ) -> None:
        self.ranges = {
            name: [read_range(f"RandomAffined: {name}_range", given) for given in ranges]
            for name, ranges in (("rotate", rotate_range), ("translate", translate_range), ("scale", scale_range))
        }
        super().__init__(sum(map(len, self.ranges.values())), prob, key)
        if padding_mode not in ("border", "zeros", "reflection"):
            raise UserError(f"RandomAffined: padding_mode {padding_mode!r}: choose border, zeros or reflection")
        self.padding_mode = padding_mode

    def make_matrices(self, indices: np.ndarray, spatial_shape: Sequence[int]) -> np.ndarray:
        """Return the matrices, see `RandomGeometry`.

        Raises:
            UserError: there are ranges for another number of axes.
        """
        dims = len(spatial_shape)
        allowed = {"rotate": (0, 1 if dims == 2 else 3), "translate": (0, dims), "scale": (0, dims)}
        for name, ranges in self.ranges.items():
            if len(ranges) not in allowed[name]:
                raise UserError(f"RandomAffined: {name}_range has {len(ranges)} ranges, images have {dims} axes")
        changed, numbers = self.draw(indices)
        return compose_affine(self._spread(np.where(changed[:, None], numbers, np.nan)), dims)

    def _spread(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Return the parameters by name, 0 for an image that stays as it is, whose numbers are NaN."""
        found, start = {}, 0
        for name, ranges in self.ranges.items():
            drawn = [spread(*ends, numbers[:, start + number]) for number, ends in enumerate(ranges)]
            found[name] = np.nan_to_num(np.stack(drawn, 1)) if drawn else np.zeros((len(numbers), 0))
            start += len(ranges)
        return found


def compose_affine(parameters: dict[str, np.ndarray], dims: int) -> np.ndarray:
    """Return the matrices that MONAI's `Affine` has for the same parameters.

    Args:
        parameters: ``rotate`` (B, 0, 1 or 3) in radians, ``translate`` (B, 0 or D) in pixels, and ``scale``
            (B, 0 or D), which is added to 1.
        dims: D.
    """
    matrices = _make_identities(len(parameters["rotate"]), dims)
    for angle, (first, second) in zip(parameters["rotate"].T, [(0, 1)] if dims == 2 else _PLANES, strict=False):
        matrices = matrices @ _rotate(-angle / (np.pi / 2), first, second, dims)
    for axis, shift in enumerate(parameters["translate"].T):
        matrices[:, :dims, dims] += matrices[:, :dims, axis] * shift[:, None]
    for axis, more in enumerate(parameters["scale"].T):
        matrices[:, :dims, axis] *= 1 + more[:, None]
    return matrices


_PLANES = ((1, 2), (2, 0), (0, 1))
"""In which a volume turns around its first, second and third axis."""


def sample(images: torch.Tensor, matrices: np.ndarray, padding_mode: Padding) -> torch.Tensor:
    """Return images as seen through matrices, linearly interpolated.

    Args:
        images: float32 tensor ``(B, C, *spatial)``.
        matrices: float64 (B, D + 1, D + 1).
        padding_mode: what is seen beyond the border.
    """
    return functional.grid_sample(images, make_grid(images, matrices), "bilinear", padding_mode, align_corners=False)


def make_grid(images: torch.Tensor, matrices: np.ndarray) -> torch.Tensor:
    """Return the grid ``(B, *spatial, D)`` of `grid_sample`: for each place of a result, where in the image it looks.

    It counts axes from the last, and from -1 at the outer edge of the first pixel to 1 at that of the last one. Each
    coordinate is an array of its own in memory.
    """
    shape = images.shape[2:]
    dims = len(shape)
    scaled = (matrices[:, :dims] * (2 / np.array(shape))[:, None])[:, ::-1]
    parts = []
    for axis, size in enumerate(shape):
        seen = scaled[:, :, axis, None] * (np.arange(size) - (size - 1) / 2)
        seen = seen + scaled[:, :, dims, None] if axis == 0 else seen
        parts.append(send(seen, images).view(len(seen), dims, *(size if n == axis else 1 for n in range(dims))))
    return sum(parts[1:], start=parts[0]).movedim(1, -1)


def _make_identities(count: int, dims: int) -> np.ndarray:
    return np.tile(np.eye(dims + 1), (count, 1, 1))


def _rotate(quarters: np.ndarray, first: int, second: int, dims: int) -> np.ndarray:
    """Return matrices that turn a plane by some quarters each, whole ones exactly, as `torch.rot90` does."""
    matrices = _make_identities(len(quarters), dims)
    whole = quarters == np.round(quarters)
    cosine, sine = (function(quarters * np.pi / 2) for function in (np.cos, np.sin))
    matrices[:, first, first] = matrices[:, second, second] = np.where(whole, np.round(cosine), cosine)
    matrices[:, first, second] = np.where(whole, np.round(sine), sine)
    matrices[:, second, first] = -matrices[:, first, second]
    return matrices
