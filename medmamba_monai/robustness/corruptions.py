"""Corruptions of images in five severities, those that MedMNIST-C has for chest X-rays (Di Salvo et al. 2024).

Kinds and strengths are those of ``chestmnist`` in the registry of github.com/francescodisalvo05/medmnistc-api
(arXiv:2406.17536), the widest list for gray images; the same are used for every dataset, so that runs can be compared.
They are written here with NumPy, SciPy and Pillow, since the package ``medmnistc`` needs torchvision, OpenCV and
ImageMagick, and knows no volumes. Lengths in pixels are those of an edge of 224 and are scaled to the image.

Every function takes and returns values from 0 to 1 of the shape (channels, *spatial).
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.scores import FloatArray

SEVERITIES = (1, 2, 3, 4, 5)
EDGE = 224
"""Edge of the images that the strengths were published for, pixels."""

Apply = Callable[[FloatArray, Any, np.random.Generator], FloatArray]


@dataclass(frozen=True)
class Corruption:
    """A way in which images become worse.

    Attributes:
        title: name for readers.
        strengths: of the severities 1 to 5.
        apply: (image, strength, generator of random numbers) -> image.
        spatial_dims: 2 for images, 3 for volumes.
    """

    title: str
    strengths: Sequence[float]
    apply: Apply
    spatial_dims: tuple[int, ...] = (2, 3)

    def __call__(self, image: Tensor, severity: int, seed: str) -> Tensor:
        """Corrupt an image.

        Args:
            image: uint8 or float32 (channels, *spatial), 0 to 255.
            severity: 1 to 5.
            seed: what the random numbers are drawn from, such as the image's id: the same gives the same.

        Returns:
            An image of the same shape and type.

        Raises:
            UserError: there is no such severity, or the corruption is not defined for such an image.
        """
        if severity not in SEVERITIES:
            raise UserError(f"severity {severity}: does not exist; choose one of {', '.join(map(str, SEVERITIES))}")
        if image.ndim - 1 not in self.spatial_dims:
            raise UserError(f"{self.title}: is not defined for an image of the shape {tuple(image.shape)}")
        generator = np.random.default_rng(zlib.crc32(f"{self.title}/{severity}/{seed}".encode()))
        found = self.apply(image.double().numpy() / 255, self.strengths[severity - 1], generator)
        values = torch.from_numpy(255 * np.clip(found, 0, 1))
        return values.round().to(torch.uint8) if image.dtype == torch.uint8 else values.to(image.dtype)


def list_corruptions(spatial_dims: int, names: Sequence[str] = ()) -> list[str]:
    """List the corruptions that are defined for images or volumes, all or those that are named.

    Raises:
        UserError: one of the names does not exist, or not for these dimensions.
    """
    known = [name for name, corruption in CORRUPTIONS.items() if spatial_dims in corruption.spatial_dims]
    for name in names:
        if name not in known:
            why = f"is not defined for {spatial_dims}D" if name in CORRUPTIONS else "does not exist"
            raise UserError(f"--corruption {name}: {why}; choose from {', '.join(known)}")
    return [name for name in known if name in (names or known)]


def _add_gaussian(image: FloatArray, scale: float, generator: np.random.Generator) -> FloatArray:
    return image + generator.normal(scale=scale, size=image.shape)


def _add_speckle(image: FloatArray, scale: float, generator: np.random.Generator) -> FloatArray:
    return image + image * generator.normal(scale=scale, size=image.shape)


def _add_impulses(image: FloatArray, share: float, generator: np.random.Generator) -> FloatArray:
    hit = generator.random(image.shape) < share
    return np.where(hit, generator.random(image.shape) < 0.5, image)


def _add_shot(image: FloatArray, photons: float, generator: np.random.Generator) -> FloatArray:
    return generator.poisson(image * photons) / photons


def _blur(image: FloatArray, kernel: float, _: np.random.Generator) -> FloatArray:
    sigma = 0.3 * ((kernel - 1) / 2 - 1) + 0.8  # what torchvision makes of a kernel's size
    return ndimage.gaussian_filter(image, (0, *(sigma * edge / EDGE for edge in image.shape[1:])), mode="mirror")


def _scale_brightness(image: FloatArray, factor: float, _: np.random.Generator) -> FloatArray:
    return factor * image


def _scale_contrast(image: FloatArray, factor: float, _: np.random.Generator) -> FloatArray:
    return image.mean() + factor * (image - image.mean())


def _raise_to(image: FloatArray, gamma: float, _: np.random.Generator) -> FloatArray:
    return image**gamma


def _pixelate(image: FloatArray, share: float, _: np.random.Generator) -> FloatArray:
    size = [max(1, int(edge * share)) for edge in image.shape[1:]]
    coarse = functional.interpolate(torch.from_numpy(image)[None], size, mode="area")
    return functional.interpolate(coarse, image.shape[1:], mode="nearest-exact")[0].numpy()


def _compress(image: FloatArray, quality: float, _: np.random.Generator) -> FloatArray:
    pixels, file = np.rint(255 * image).astype(np.uint8), io.BytesIO()
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1))
    picture.save(file, "JPEG", quality=int(quality))
    found = np.asarray(Image.open(file), dtype=np.float64) / 255
    return found[None] if found.ndim == 2 else np.moveaxis(found, -1, 0)


CORRUPTIONS = {
    "gaussian_noise": Corruption("Gaussian noise", (0.04, 0.08, 0.12, 0.18, 0.26), _add_gaussian),
    "speckle_noise": Corruption("speckle noise", (0.05, 0.15, 0.2, 0.35, 0.45), _add_speckle),
    "impulse_noise": Corruption("impulse noise", (0.01, 0.03, 0.06, 0.09, 0.17), _add_impulses),
    "shot_noise": Corruption("shot noise", (60, 25, 18, 10, 5), _add_shot),
    "gaussian_blur": Corruption("Gaussian blur", (3, 5, 7, 9, 11), _blur),
    "brightness_up": Corruption("brighter", (1.1, 1.2, 1.3, 1.4, 1.5), _scale_brightness),
    "brightness_down": Corruption("darker", (0.9, 0.8, 0.7, 0.6, 0.5), _scale_brightness),
    "contrast_up": Corruption("more contrast", (1.1, 1.2, 1.3, 1.4, 1.6), _scale_contrast),
    "contrast_down": Corruption("less contrast", (0.9, 0.8, 0.7, 0.6, 0.4), _scale_contrast),
    "gamma_corr_up": Corruption("gamma above 1", (1.1, 1.2, 1.3, 1.4, 1.6), _raise_to),
    "gamma_corr_down": Corruption("gamma below 1", (0.9, 0.8, 0.7, 0.6, 0.4), _raise_to),
    "pixelate": Corruption("pixelated", (0.30, 0.25, 0.20, 0.15, 0.10), _pixelate),
    "jpeg_compression": Corruption("JPEG", (50, 30, 15, 10, 7), _compress, (2,)),
}
"""Corruptions by their names in MedMNIST-C."""
