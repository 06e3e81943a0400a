"""A generated dataset in real PNG files, for when no real data can be had.

Each image is a noisy chest-like texture: a bright body, two dark lungs, ribs. In the class ``nodule`` a lung holds a
faint round blob; in the class ``normal`` it holds a line of the same total brightness instead, and in the class
``healthy``, which is drawn where it is asked for, neither. Place, size, contrast and direction vary, so the brightness
of single pixels says little and the shape says nearly all. Where each blob and line is stands in ``findings.json``
beside the images.

Between ``normal`` and ``nodule`` a network may decide by the line that it does not see, so that a blob need not be
where it looks. Between ``healthy`` and ``nodule`` there is nothing else to see: only there must a map point at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from medmamba_monai.core.choices import check_choice
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_folder_once
from medmamba_monai.data.findings import Finding, Findings, write_findings

CLASS_NAMES = ("normal", "nodule")
HEALTHY = "healthy"
FAINT = (0.15, 0.45)
"""What a finding adds to its middle, of the range from black to white: drawn from here to there."""
_NOISE = 0.035


def write_phantom(
    folder: str | Path,
    num_train: int = 600,
    num_test: int = 200,
    image_size: int = 64,
    seed: int = 0,
    class_names: Sequence[str] = CLASS_NAMES,
    contrast: tuple[float, float] = FAINT,
) -> Path:
    """Write the dataset as ``{train,test}/{normal,nodule}/*.png``, as many of each class, and where findings are.

    A folder that is already there is left as it is; an interrupted call leaves none.

    Args:
        folder: the dataset folder to make.
        num_train: number of training images.
        num_test: number of test images.
        image_size: side in pixels.
        seed: the same seed gives the same images.
        class_names: two or three of ``healthy``, ``normal`` and ``nodule``.
        contrast: see `FAINT`, by which nobody could see all findings in the noise; from 0.3 on nearly all are seen.

    Returns:
        ``folder``.

    Raises:
        UserError: the folder cannot be written, there is no such class, or a contrast is not above 0 and at most 1.
    """
    for name in class_names:
        check_choice(name, (HEALTHY, *CLASS_NAMES), "class name")
    if len(set(class_names)) < max(2, len(class_names)):
        raise UserError(f"class_names {', '.join(class_names)}: give two or three classes, each once")
    if not 0 < contrast[0] <= contrast[1] <= 1:
        raise UserError(f"contrast {contrast}: give the least and the most, above 0 and at most 1, such as (0.3, 0.6)")

    def write(unfinished: Path) -> None:
        generator = np.random.default_rng(seed)
        findings = {}
        for name, image, finding in _draw_all(num_train, num_test, image_size, generator, class_names, contrast):
            path = unfinished / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
            if finding is not None:
                findings[name] = finding
        write_findings(unfinished, Findings(image_size=image_size, findings=findings))

    return write_folder_once(folder, write)


def _draw_all(
    num_train: int,
    num_test: int,
    image_size: int,
    generator: np.random.Generator,
    class_names: Sequence[str],
    contrast: tuple[float, float],
) -> Iterator[tuple[str, np.ndarray, Finding | None]]:
    """Yield the path, the pixels and the finding of each image; see `write_phantom`."""
    plan = [("train", index) for index in range(num_train)] + [("test", index) for index in range(num_test)]
    for split, index in tqdm(plan, "phantom", leave=False, unit="image", disable=None):
        class_name = class_names[index % len(class_names)]
        name = f"{split}/{class_name}/{index:05d}.png"
        if class_name == HEALTHY:
            yield name, draw_healthy(image_size, generator), None
        else:
            yield name, *draw_with_finding(CLASS_NAMES.index(class_name), image_size, generator, contrast)


def draw_phantom(label: int, image_size: int, generator: np.random.Generator) -> np.ndarray:
    """Draw one image.

    Args:
        label: 0 normal, 1 nodule.
        image_size: side in pixels.
        generator: source of everything that varies.

    Returns:
        uint8 array of shape (image_size, image_size).
    """
    return draw_with_finding(label, image_size, generator)[0]


def draw_with_finding(
    label: int, image_size: int, generator: np.random.Generator, contrast: tuple[float, float] = FAINT
) -> tuple[np.ndarray, Finding]:
    """Draw one image as `draw_phantom` does, and say where its blob or line is."""
    axis = np.linspace(-1, 1, image_size)
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    image = _draw_chest(rows, columns, generator)
    shape, finding = _draw_finding(label, rows, columns, generator, contrast)
    return _add_noise(image + shape, generator), finding


def draw_healthy(image_size: int, generator: np.random.Generator) -> np.ndarray:
    """Draw one image as `draw_phantom` does, with neither blob nor line."""
    axis = np.linspace(-1, 1, image_size)
    return _add_noise(_draw_chest(*np.meshgrid(axis, axis, indexing="ij"), generator), generator)


def _add_noise(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    noisy = image + 0.045 * _draw_smooth_noise(len(image), generator) + _NOISE * generator.standard_normal(image.shape)
    return np.clip(255 * noisy, 0, 255).astype(np.uint8)


def _draw_chest(rows: np.ndarray, columns: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    image = np.full(rows.shape, generator.uniform(0.55, 0.7))
    top, tilt = generator.uniform(-0.1, 0.1, size=2)
    for side in (-0.45, 0.45):
        lung = ((columns - side - tilt * rows) / 0.36) ** 2 + ((rows - top) / 0.78) ** 2
        image -= generator.uniform(0.25, 0.35) / (1 + np.exp(12 * (lung - 1)))
    frequency, phase = generator.uniform(9, 13), generator.uniform(0, 2 * np.pi)
    return image + 0.04 * np.sin(frequency * (rows + 0.5 * columns**2) + phase)


def _draw_finding(
    label: int,
    rows: np.ndarray,
    columns: np.ndarray,
    generator: np.random.Generator,
    contrast: tuple[float, float],
) -> tuple[np.ndarray, Finding]:
    center_row, center_column = generator.uniform(-0.5, 0.5), generator.choice([-0.45, 0.45])
    center_column += generator.uniform(-0.15, 0.15)
    radius, angle = generator.uniform(0.09, 0.16), generator.uniform(0, np.pi)
    along = np.cos(angle) * (rows - center_row) + np.sin(angle) * (columns - center_column)
    across = np.cos(angle) * (columns - center_column) - np.sin(angle) * (rows - center_row)
    stretch = 1.0 if label else generator.uniform(2.2, 3.4)
    shape = np.exp(-0.5 * ((along / (radius * stretch)) ** 2 + (across * stretch / radius) ** 2))
    half = (len(rows) - 1) / 2
    finding = Finding(
        row=half * (center_row + 1),
        column=half * (center_column + 1),
        along=half * radius * stretch,
        across=half * radius / stretch,
        angle=angle,
    )
    return generator.uniform(*contrast) * shape, finding


def _draw_smooth_noise(image_size: int, generator: np.random.Generator) -> np.ndarray:
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(image_size), np.fft.rfftfreq(image_size), indexing="ij"))
    spectrum = np.fft.rfft2(generator.standard_normal((image_size, image_size)))
    noise = np.fft.irfft2(spectrum / (1 + (frequency * 24) ** 2), s=(image_size, image_size))
    return noise / noise.std()
