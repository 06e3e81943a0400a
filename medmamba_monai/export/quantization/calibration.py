"""The images that ranges of activations are read from: training images of a fold, or those of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data.find.locations import list_images
from medmamba_monai.package import Package, read_folds_of_run

IMAGES = 128
"""Enough that ranges hardly change with more: the smallest and the largest value of an activation are taken."""


def read_calibration(
    package: Package, source: str | os.PathLike[str], fold: int, images: int = IMAGES, batch_size: int = 16
) -> Iterator[np.ndarray]:
    """Yield batches of calibration images as the network takes them, (B, C, *spatial) float32.

    A package holds no image. Those of a folder are drawn with a fixed seed where they are more than asked for.

    Args:
        package: what the images are read and scaled for.
        source: folder of the cross-validation that the package was made of, whose training images of the fold are read
            from where the run found them; or a folder of images.
        fold: whose training images.
        images: how many, at most.
        batch_size: of a batch.

    Raises:
        UserError: there is no such folder or no image in it, an image cannot be read, or the run is another's.
    """
    drawn = draw(find_images(package, source, fold), images)
    yield from read_batches(package, drawn, batch_size)


def read_some(package: Package, source: str | os.PathLike[str], fold: int, count: int) -> list[Tensor]:
    """Read at most so many of the images as `Package.read` does; see `read_calibration`."""
    return [package.read(image) for image in draw(find_images(package, source, fold), count)]


def find_images(package: Package, source: str | os.PathLike[str], fold: int) -> Sequence[str]:
    """Return the training images of a fold, or those of a folder, as texts that `Package.read` takes.

    Raises:
        UserError: there is no such folder or no image in it, or the run is another's than the package's.
    """
    if RunFolder(source).description.is_file():
        return [item["image"] for item in read_folds_of_run(package, source).parts(fold)["train"]]
    if not Path(source).is_dir():
        raise UserError(
            f"calibration: {source}: there is no such folder; give the run that the package was made of, or a folder "
            "of training images"
        )
    card = package.card
    return [
        item["image"] for item in list_images(Path(source), card.spatial_dims, card.every_frame, option="calibration")
    ]


def draw(items: Sequence[Any], count: int) -> list[Any]:
    """Return at most so many items, in their order, the same each time."""
    if len(items) <= count:
        return list(items)
    chosen = np.random.default_rng(0).choice(len(items), count, replace=False)
    return [items[index] for index in sorted(chosen)]


def read_batches(package: Package, images: Sequence[str], batch_size: int) -> Iterator[np.ndarray]:
    """Read images in batches as the network takes them, (B, C, *spatial) float32."""
    pixels = (package.read(image) for image in images)
    while batch := tuple(islice(pixels, batch_size)):
        yield package.convert(batch).cpu().numpy()
