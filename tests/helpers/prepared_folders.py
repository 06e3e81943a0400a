"""Class folders of noise for `prepare_dataset`, and the report that it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def draw_classes(folder: Path, count: int = 10) -> Path:
    for label, name in enumerate(("cat", "dog")):
        for index in range(count):
            draw(folder / name / f"{index}.png", 1000 * label + index)
    return folder


def report(path: Path) -> dict[str, Any]:
    return json.loads((path / "prepare_report.json").read_text(encoding="utf-8"))
