"""A study whose truth is known: DICOM files show one half of what decides the class, a column of a table the other.

A patient is sick where ``extent + age > 1.1``, both standard normal and independent, so that neither half is worth more
than the other and 22 % of the patients are sick. The extent is the radius of a bright spot in the images, which
survives the changes of brightness that a plan's recipe makes; the age is written down.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from medmamba_monai.data.propose.labels import Labels
from tests.helpers.small_images import write_dicom, write_table

SIDE = 24
CLASSES = ("well", "sick")
IMAGES_PER_PATIENT = 2
_THRESHOLD = 1.1


@dataclass(frozen=True, eq=False)
class Patients:
    """P patients: what their images show, how old they are in standard deviations, and whether they are sick."""

    extent: NDArray[np.float64]
    age: NDArray[np.float64]
    sick: NDArray[np.bool_]


def draw_patients(count: int, seed: int = 0) -> Patients:
    """Draw patients; the same seed gives the same ones."""
    extent, age = np.random.default_rng(seed).standard_normal((2, count))
    return Patients(extent, age, extent + age > _THRESHOLD)


def compute_log_odds(extent: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log odds of being sick for who sees the extent and does not know the age."""
    return norm.logcdf(extent - _THRESHOLD) - norm.logsf(extent - _THRESHOLD)


def write_study(folder: Path, patients: Patients) -> Labels:
    """Write the images of each patient into ``scans``, the table ``clinic.csv`` beside it, and say how it is read."""
    generator = np.random.default_rng(1)
    lines = ["file,patient,finding,age,sex"]
    for number, (extent, age, sick) in enumerate(zip(patients.extent, patients.age, patients.sick, strict=True)):
        for image in range(IMAGES_PER_PATIENT):
            name, seed = f"{number:03d}_{image}.dcm", IMAGES_PER_PATIENT * number + image
            pixels = _draw_spot(5 + 1.5 * extent, generator)
            tags = {"Rows": SIDE, "Columns": SIDE, "PixelData": pixels.tobytes()}
            write_dicom(folder / "scans" / name, seed, f"P{number}", **tags)
            lines.append(f"{name},P{number},{CLASSES[int(sick)]},{60 + 10 * age:.2f},{'FM'[number % 2]}")
    table = write_table(folder / "clinic.csv", "\n".join(lines))
    return Labels(table, "file", ("finding",), group_column="patient", record_columns=("age", "sex"))


def _draw_spot(radius: float, generator: np.random.Generator) -> NDArray[np.uint16]:
    """Return a spot of 600 HU with a soft edge, near the middle of a noisy image."""
    middle = SIDE / 2 + generator.uniform(-2, 2, 2)
    distance = np.hypot(*(np.indices((SIDE, SIDE)) - middle[:, None, None]))
    spot = np.clip(np.clip(radius, 0.5, 10) - distance + 0.5, 0, 1)
    return (1024 + 600 * spot + generator.normal(0, 20, spot.shape)).astype(np.uint16)
