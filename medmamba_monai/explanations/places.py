"""Where the finding of an image is, as far as it is known: of a generated dataset, or from a folder of masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import list_images
from medmamba_monai.data.find.image_index import strip_image_suffix
from medmamba_monai.data.findings import read_findings
from medmamba_monai.evaluation.figures.maps import smooth_map
from medmamba_monai.explanations.subjects import Subject
from medmamba_monai.images import ReadImage
from medmamba_monai.package import Package

_HALF = 127.5


def read_places(
    package: Package, subjects: Sequence[Subject], masks: Path | None, folder: Path
) -> dict[str, np.ndarray]:
    """Read where findings are.

    Args:
        package: whose networks see the images.
        subjects: the images.
        masks: folder of masks, each named like its image, or like its id; anything but 0 is the finding. None for what
            the dataset says itself, see `medmamba_monai.data.findings`.
        folder: of the dataset.

    Returns:
        Bool (*spatial) at the network's size, by id; without the images that have none, or whose finding is not known.

    Raises:
        UserError: a mask cannot be read or has another size than its image; or none belongs to an image.
    """
    if masks is None:
        return _draw_findings(package, subjects, folder)
    listed = list_images(masks, package.card.spatial_dims, option="masks")
    files = {strip_image_suffix(item["file"]): item["image"] for item in listed}
    found = {s.id: files[name] for s in subjects for name in _list_names(s) if name in files}
    if not found:
        raise UserError(
            f"--masks {masks}: no mask is named like one of the {len(subjects)} images, such as {subjects[0].file}; "
            "name each like its image, with any suffix of an image"
        )
    read = ReadImage(1, package.card.spatial_dims)
    sources = {subject.id: subject.source for subject in subjects}
    places = {name: _read_mask(package, read, path, sources[name]) for name, path in found.items()}
    return {name: place for name, place in places.items() if place.any()}


def _draw_findings(package: Package, subjects: Sequence[Subject], folder: Path) -> dict[str, np.ndarray]:
    told = read_findings(folder)
    if told is None:
        return {}
    size = told.image_size
    masks = {s.id: told.findings[s.file].draw(size, size) for s in subjects if s.file in told.findings}
    return {name: _scale(package, mask) for name, mask in masks.items()}


def _list_names(subject: Subject) -> list[str]:
    return [strip_image_suffix(subject.file), subject.id]


def _read_mask(package: Package, read: ReadImage, path: str, image: str) -> np.ndarray:
    mask, shape = read(path).numpy()[0] > 0, package.read_unscaled(image).shape[1:]
    if mask.shape != tuple(shape):
        raise UserError(f"{path}: is {mask.shape}, and its image {tuple(shape)}; a mask has the size of its image")
    return _scale(package, mask)


def _scale(package: Package, mask: np.ndarray) -> np.ndarray:
    pixels = torch.from_numpy(np.where(mask, 255.0, 0.0).astype(np.float32))[None]
    return np.asarray(package.resize(pixels)[0].numpy() > _HALF)


def points_inside(relevance: np.ndarray, place: np.ndarray) -> bool:
    """Say whether a map's largest value is inside the finding: a hit of the pointing game (Zhang et al. 2016).

    The map is smoothed as it is for people who look at it, since single pixels of a map say little.

    Example:
        >>> points_inside(np.array([[0.0, 2.0]]), np.array([[False, True]]))
        True
    """
    return bool(place.flat[int(np.argmax(smooth_map(relevance)))])
