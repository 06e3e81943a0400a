"""The images that an export is held to: those of a folder, or generated ones."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.locations import list_images
from medmamba_monai.package import Package

SEED = 0


def read_images(package: Package, folder: str | os.PathLike[str], count: int, scaled: bool = True) -> list[Tensor]:
    """Read the first images of a folder as a package reads them: (C, spatial), 0 to 255.

    Args:
        package: that reads them.
        folder: of images.
        count: how many, at most.
        scaled: whether they are scaled to the network's size; else those of the first one's size are taken.

    Raises:
        UserError: there is none, or one cannot be read.
    """
    items = list_images(Path(folder), package.card.spatial_dims, package.card.every_frame, option="images")
    read = package.read if scaled else package.read_unscaled
    found: list[Tensor] = []
    for item in items:
        pixels = read(item["image"])
        if not found or pixels.shape == found[0].shape:
            found.append(pixels)
        if len(found) == count:
            break
    if not found:
        raise UserError(f"{folder}: holds no image that could be compared; give a folder of images, or none")
    return found


def generate_images(package: Package, count: int, spatial_size: list[int]) -> list[Tensor]:
    """Generate images of a few large spots with noise, the same in each call: (C, spatial), 0 to 255.

    Args:
        package: whose reading decides channels and type.
        count: of the images.
        spatial_size: of each.
    """
    generator = torch.Generator().manual_seed(SEED)
    channels = package.manifest.reading["channels"]
    coarse = torch.rand(count, channels, *[4] * len(spatial_size), generator=generator)
    mode = "bilinear" if len(spatial_size) == 2 else "trilinear"
    spots = torch.nn.functional.interpolate(coarse, spatial_size, mode=mode)
    noisy = (spots + 0.1 * torch.randn(spots.shape, generator=generator)).clamp(0, 1) * 255
    kind = torch.float32 if package.manifest.reading.get("dtype") == "float32" else torch.uint8
    return list((noisy.round() if kind == torch.uint8 else noisy).to(kind))
