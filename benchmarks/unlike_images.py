"""Images that are none of a dataset of gray images: changed ones of it, generated ones, and what libraries hold."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import torch
from pydicom.data import get_testdata_file
from sklearn.datasets import load_digits, load_sample_images

from medmamba_monai.data.phantom import draw_phantom
from medmamba_monai.images import ResizeImage

_CT = ("693_J2KI.dcm", "CT_small.dcm", "J2K_pixelrep_mismatch.dcm")
_ULTRASOUND = ("examples_ybr_color.dcm", "examples_rgb_color.dcm", "examples_jpeg2k.dcm", "examples_palette.dcm")


def make_other_images(own: Sequence[np.ndarray], count: int, seed: int = 0) -> dict[str, list[np.ndarray]]:
    """Return gray images from 0 to 255 by their kind, of the size of the dataset's.

    Args:
        own: of the dataset (H, W), uint8, which the changed ones are made of.
        count: of each kind, at most.
        seed: of what is drawn.
    """
    generator = np.random.default_rng(seed)
    size = own[0].shape[0]
    chosen = [own[row] for row in generator.permutation(len(own))[:count]]
    kinds: dict[str, list[np.ndarray]] = {
        "inverted": [255 - image for image in chosen],
        "a quarter turn": [np.rot90(image).copy() for image in chosen],
        "upside down": [np.rot90(image, 2).copy() for image in chosen],
        "noise": list(generator.integers(0, 256, (count // 2, size, size)).astype(np.uint8)),
        "blank": [np.full((size, size), level, np.uint8) for level in np.linspace(0, 255, max(count // 4, 2))],
        "phantom": [draw_phantom(number % 2, size, generator) for number in range(count // 2)],
        "MR, one head": _slice_volume(),
        "CT, 3 files": [crop for name in _CT for crop in _crop_quarters(_read_frames(name)[0])],
        "ultrasound, 4 files": [frame for name in _ULTRASOUND for frame in _read_frames(name)],
        "digits": [_scale(image) for image in load_digits().images],
        "photographs, crops of 2": _crop_photographs(generator, count // 2),
    }
    resize = ResizeImage([size, size])
    return {
        kind: [resize(torch.from_numpy(image.copy())[None]).numpy()[0] for image in images[:count]]
        for kind, images in kinds.items()
    }


def _slice_volume() -> list[np.ndarray]:
    """Cut nibabel's head along each axis, the outer fifths left out."""
    image = nibabel.Nifti1Image.from_filename(Path(nibabel.__file__).parent / "tests" / "data" / "anatomical.nii")
    volume = np.asarray(image.dataobj)
    return [
        _scale(np.rot90(np.take(volume, place, axis)))
        for axis in range(3)
        for place in range(volume.shape[axis] // 5, volume.shape[axis] * 4 // 5)
    ]


def _read_frames(name: str) -> list[np.ndarray]:
    """Read the frames of one of pydicom's files, color as gray."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom tells what is odd in its own test files
        dataset = pydicom.dcmread(str(get_testdata_file(name, download=False)))
        pixels = dataset.pixel_array
    if dataset.get("SamplesPerPixel", 1) == 3:
        pixels = pixels.mean(axis=-1)
    return [_scale(frame) for frame in (pixels if pixels.ndim == 3 else pixels[None])]


def _crop_quarters(image: np.ndarray) -> list[np.ndarray]:
    rows, columns = (edge // 2 for edge in image.shape)
    return [image, *(image[a : a + rows, b : b + columns] for a in (0, rows) for b in (0, columns))]


def _crop_photographs(generator: np.random.Generator, count: int) -> list[np.ndarray]:
    pictures = [image.mean(axis=2).astype(np.uint8) for image in load_sample_images().images]
    crops = []
    for number in range(count):
        picture, edge = pictures[number % len(pictures)], int(generator.integers(64, 300))
        row, column = (int(generator.integers(0, length - edge)) for length in picture.shape)
        crops.append(picture[row : row + edge, column : column + edge])
    return crops


def _scale(image: np.ndarray) -> np.ndarray:
    """Scale an image from its darkest to its brightest half percent to 0 to 255."""
    low, high = np.percentile(image, [0.5, 99.5])
    return (np.clip((image - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)
