"""Class folders of noise for `propose_card`, and what it proposes for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medmamba_monai.data.propose.card import Options, Proposal, propose_card
from medmamba_monai.data.propose.labels import Labels
from tests.helpers.small_images import draw


def proposed(images: Path, labels: Labels | None = None, **options: Any) -> Proposal:
    return propose_card("mine", images, labels or Labels(), Options(**options))


def draw_classes(folder: Path, names: tuple[str, ...] = ("benign", "malignant"), mode: str = "L") -> Path:
    for label, name in enumerate(names):
        for index in range(3):
            draw(folder / name / f"{index}.png", 10 * label + index, mode=mode)
    return folder
