"""Images that are given in Python, as items of an inference: files and arrays."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from medmamba_monai.core.errors import UserError

Image = str | Path | ArrayLike | torch.Tensor
"""A file, or an array of values as a file of the dataset holds them."""


def make_items(images: Iterable[Image], spatial_dims: int) -> list[dict[str, Any]]:
    """Return files and arrays as items with ``id``, ``image`` and ``file``, which is the name of the image.

    Args:
        images: files, and arrays of the shapes that `channels_last` takes.
        spatial_dims: 2 or 3.

    Raises:
        UserError: there are none, or an array has another shape.
    """
    items: list[dict[str, Any]] = []
    for number, image in enumerate(images):
        if isinstance(image, (str, Path)):
            held: dict[str, Any] = {"image": str(Path(image).absolute()), "file": str(image)}
        else:
            held = {"image": channels_last(image, spatial_dims, f"images[{number}]"), "file": str(number)}
        items.append({"id": f"image-{number:05d}", **held})
    if not items:
        raise UserError("images: is empty; give a folder, a list of files or a list of arrays")
    return items


def channels_last(image: ArrayLike | torch.Tensor, spatial_dims: int, name: str) -> np.ndarray:
    """Return an array as files hold images: gray without an axis of channels, RGB with it as the last.

    Args:
        image: the spatial axes alone, or 1 or 3 channels before or after them.
        spatial_dims: 2 or 3.
        name: of the image, for messages.

    Raises:
        UserError: it has other axes, or channels could be before and after.
    """
    array = image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else np.asarray(image)
    if array.ndim == spatial_dims:
        return array
    first, last = (array.ndim == spatial_dims + 1 and array.shape[axis] in (1, 3) for axis in (0, -1))
    if first == last:
        where = "channels could be its first or its last axis" if first else "it has no axis of 1 or 3 channels"
        raise UserError(
            f"{name}: has shape {array.shape}; {where}. Give {spatial_dims} spatial axes, and 1 or 3 channels"
        )
    array = np.moveaxis(array, 0, -1) if first else array
    return array[..., 0] if array.shape[-1] == 1 else array
