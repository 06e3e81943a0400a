"""Generated slides in real pyramidal TIFF files, for when no real ones can be had.

Each slide is a piece of pink tissue with dark nuclei on white glass. In the class ``lesion`` half of the nuclei
stands close together in one round place; in the class ``normal`` all are spread over the tissue. Number of nuclei,
stain, shape and place vary alike in both, so that how dark a slide is says nothing, and a tile of the place nearly all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from scipy.ndimage import zoom
from tqdm import tqdm

from medmamba_monai.core.files import write_folder_once, write_json

CLASS_NAMES = ("normal", "lesion")
GROUP_PATTERN = r"^(P\d+)_"
"""What of a file's name is its patient."""
MICRONS_PER_PIXEL = 0.5
LESIONS = "lesions.json"
"""File that says where the lesions are: ``{"P00_1.tif": [column, row, radius]}``, in pixels."""

_TILE = 256
_NUCLEI_PER_PIXEL = 0.0008


def write_phantom_slides(folder: str | Path, num_slides: int = 20, edge: int = 1024, seed: int = 0) -> Path:
    """Write the dataset as ``{normal,lesion}/P00_1.tif``: two slides of a patient, lesions in half of the patients.

    A folder that is already there is left as it is; an interrupted call leaves none.

    Args:
        folder: the dataset folder to make.
        num_slides: number of slides.
        edge: of the finest level, pixels.
        seed: the same seed gives the same slides.

    Returns:
        ``folder``.

    Raises:
        UserError: the folder cannot be written.
    """
    return write_folder_once(folder, lambda unfinished: _write(unfinished, num_slides, edge, seed))


def _write(folder: Path, num_slides: int, edge: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    lesions: dict[str, list[float]] = {}
    for index in tqdm(range(num_slides), "slides", leave=False, unit="slide", disable=None):
        patient, number = divmod(index, 2)
        label = patient % len(CLASS_NAMES)
        path = folder / CLASS_NAMES[label] / f"P{patient:02d}_{number + 1}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture, place = draw_phantom_slide(label, edge, generator)
        write_pyramid(path, picture)
        if label:
            lesions[path.name] = place
    write_json(folder / LESIONS, lesions)


def write_pyramid(path: Path, picture: np.ndarray, microns_per_pixel: float | None = MICRONS_PER_PIXEL) -> None:
    """Write a picture as a tiled TIFF with levels of half the edge each, down to one tile.

    Args:
        path: the file.
        picture: uint8 (rows, columns, 3).
        microns_per_pixel: what the file says of its scale; None for nothing.
    """
    options: dict[str, Any] = {"tile": (_TILE, _TILE), "photometric": "rgb", "compression": "zlib"}
    scale: dict[str, Any] = (
        {} if microns_per_pixel is None else {"resolution": (1e4 / microns_per_pixel,) * 2, "resolutionunit": 3}
    )
    with tifffile.TiffWriter(path, bigtiff=False) as file:
        file.write(picture, **options, **scale)
        while min(picture.shape[:2]) > _TILE:
            rows, columns = (length // 2 for length in picture.shape[:2])
            blocks = picture[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, 3)
            picture = blocks.mean(axis=(1, 3)).round().astype(np.uint8)
            file.write(picture, subfiletype=1, **options)


def draw_phantom_slide(label: int, edge: int, generator: np.random.Generator) -> tuple[np.ndarray, list[float]]:
    """Draw one slide.

    Args:
        label: 0 normal, 1 lesion.
        edge: in pixels.
        generator: source of everything that varies.

    Returns:
        uint8 (edge, edge, 3), and column, row and radius of the place where a lesion is or would be.
    """
    axis = np.linspace(-1, 1, edge, dtype=np.float32)
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    angle = np.arctan2(rows, columns)
    bumps = sum(generator.uniform(0, 0.06) * np.cos(k * angle + generator.uniform(0, 6.3)) for k in (2, 3, 5))
    tissue = np.hypot(rows, columns) < generator.uniform(0.65, 0.8) + bumps
    stain = np.array([225, 165, 200]) + generator.uniform(-6, 6, 3)
    texture = zoom(generator.standard_normal((edge // 16 + 1, edge // 16 + 1)), 16, order=1)[:edge, :edge]
    picture = np.full((edge, edge, 3), 244, np.float32)
    picture[tissue] = stain + 8 * texture[tissue, None]
    turn, away = generator.uniform(0, 2 * np.pi), generator.uniform(0, 0.35)
    place = [edge / 2 * (1 + away * np.cos(turn)), edge / 2 * (1 + away * np.sin(turn)), 0.12 * edge]
    for column, row in _scatter_nuclei(tissue, place if label else None, generator):
        _draw_nucleus(picture, column, row, generator)
    picture += generator.normal(0, 1.5, (edge, edge, 1))
    return np.clip(picture, 0, 255).round().astype(np.uint8), place


def _scatter_nuclei(tissue: np.ndarray, place: list[float] | None, generator: np.random.Generator) -> np.ndarray:
    """Return columns and rows (N, 2) of nuclei in the tissue; half of them in a place, where there is one."""
    number = int(_NUCLEI_PER_PIXEL * tissue.sum() * generator.uniform(0.9, 1.1))
    rows, columns = np.nonzero(tissue)
    chosen = generator.integers(len(rows), size=number)
    nuclei = np.stack([columns[chosen], rows[chosen]], axis=1)
    if place is not None:
        crowd = number // 2
        turn, away = generator.uniform(0, 2 * np.pi, crowd), place[2] * np.sqrt(generator.uniform(0, 1, crowd))
        nuclei[:crowd] = np.stack([place[0] + away * np.cos(turn), place[1] + away * np.sin(turn)], axis=1)
    return nuclei


def _draw_nucleus(picture: np.ndarray, column: int, row: int, generator: np.random.Generator) -> None:
    """Draw a dark disc of 3 to 5 pixels radius."""
    radius = generator.uniform(3, 5)
    reach = int(radius) + 1
    part = picture[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
    ys = np.arange(len(part))[:, None] + max(0, row - reach) - row
    xs = np.arange(part.shape[1])[None] + max(0, column - reach) - column
    part[np.hypot(ys, xs) <= radius] = (100, 60, 140)
