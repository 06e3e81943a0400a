"""The pointing game in counts: how many images each method hits, of all and of those that the network gets right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from medmamba_monai.evaluation.reports.page import Section
from medmamba_monai.evaluation.scores import FloatArray
from medmamba_monai.evaluation.tables import Table
from medmamba_monai.explain import EXPLANATIONS
from medmamba_monai.explanations.drawing import Drawings


@dataclass(frozen=True)
class Pointing:
    """Where the findings of images are, and whether the network sees them.

    Attributes:
        covered: part of each image that its finding covers (N,): how often a map that knows nothing hits it.
        recognized: whether the network predicts the true class of each (N,); None where that is not known.
    """

    covered: FloatArray
    recognized: np.ndarray | None

    def describe(self, hits: Mapping[str, FloatArray]) -> dict[str, Any]:
        """Return the counts for programs.

        Args:
            hits: of each image (N,), 0 or 1, by method.
        """
        seen = self.recognized
        return {
            "images": len(self.covered),
            "chance": float(self.covered.mean()),
            "recognized": None if seen is None else int(seen.sum()),
            "hits": {name: int(found.sum()) for name, found in hits.items()},
            "hits_of_recognized": None if seen is None else {name: int(hits[name][seen].sum()) for name in hits},
        }


def look_at_findings(drawings: Drawings, places: Mapping[str, np.ndarray]) -> Pointing:
    """Return what the pointing game is played on.

    Args:
        drawings: of the images.
        places: where the findings of some of them are, by id; see `read_places`.
    """
    placed = [subject for subject in drawings.subjects if subject.id in places]
    is_known = all(subject.label is not None for subject in placed)
    right = np.array([subject.label == drawings.predicted[subject.id] for subject in placed])
    covered = np.array([places[subject.id].mean() for subject in placed])
    return Pointing(covered, right if is_known else None)


def make_section(described: Mapping[str, Any]) -> Section:
    """Show the counts of `Pointing.describe`, most hits first."""
    images, recognized, seen = (described[key] for key in ("images", "recognized", "hits_of_recognized"))
    rows = [
        [EXPLANATIONS[name].title, str(hits), *([] if seen is None else [str(seen[name])])]
        for name, hits in sorted(described["hits"].items(), key=lambda row: -row[1])
    ]
    header = ["method", f"hits of {images}", *([] if seen is None else [f"of the {recognized} recognized"])]
    said = (
        "A hit: the highest value of the map, smoothed as in the pictures, is inside the finding. Findings cover "
        f"{100 * described['chance']:.1f} % of an image on average, which is what a map hits that knows nothing."
    )
    if seen is not None:
        said += (
            f" The network predicts the true class of {recognized} of these {images} images; on the others a map "
            "explains another class, and need not point at the finding."
        )
    return Section("Pointing at the finding", [said], tables=[Table(header, rows)])
