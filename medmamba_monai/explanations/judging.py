"""What is judged of each map, kept method by method so that a judgement goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

from medmamba_monai.core.files import write_json
from medmamba_monai.evaluation.scores import FloatArray
from medmamba_monai.explain.curves import compute_curves
from medmamba_monai.explain.randomization import SHARES, compare_ranks, compare_structure
from medmamba_monai.explanations.drawing import Drawings
from medmamba_monai.explanations.members import Members
from medmamba_monai.explanations.places import points_inside

RANDOMIZED_IMAGES = 16
"""Images whose maps are drawn again with shuffled weights, at most."""

Values = Mapping[str, FloatArray]
"""By the names of `Judge.judge`."""


class Judge:
    """Judges the maps of subjects.

    Args:
        drawings: the subjects, their predicted classes and their maps.
        places: where findings are, by id; see `read_places`.
    """

    def __init__(self, drawings: Drawings, places: Mapping[str, np.ndarray]) -> None:
        self.drawings, self.places = drawings, places
        self.placed = [subject for subject in drawings.subjects if subject.id in places]
        self.redrawn = drawings.subjects[:: -(-len(drawings.subjects) // RANDOMIZED_IMAGES)]

    def judge(self, method: str) -> Values:
        """Judge the maps of a method, or read what was kept.

        Args:
            method: of `EXPLANATIONS`.

        Returns:
            ``deletion_curve`` and ``insertion_curve`` (images, steps + 1), ``pointing`` (images whose place is known),
            ``ranks`` and ``structure`` (images drawn again, shares).

        Raises:
            UserError: an image cannot be read.
        """
        path = self.drawings.folder.values(method)
        identity = {**self.drawings.identity, "pointing_at": sorted(self.places)}
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept.pop("identity") == identity:
                return {name: np.array(rows) for name, rows in kept.items()}
        found = {**self._judge_curves(method), "pointing": self._point(method), **self._judge_randomized(method)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"identity": identity, **{name: values.tolist() for name, values in found.items()}})
        return found

    def _judge_curves(self, method: str) -> dict[str, FloatArray]:
        curves = [
            compute_curves(
                subject.members.predict,
                self.drawings.pixels.input(subject),
                self.drawings.read_map(method, subject),
                self.drawings.predicted[subject.id],
            )
            for subject in tqdm(self.drawings.subjects, f"{method}: curves", leave=False, unit="image", disable=None)
        ]
        return {
            "deletion_curve": np.stack([curve.deletion for curve in curves]),
            "insertion_curve": np.stack([curve.insertion for curve in curves]),
        }

    def _point(self, method: str) -> FloatArray:
        hits = [points_inside(self.drawings.read_map(method, s), self.places[s.id]) for s in self.placed]
        return np.array(hits, dtype=np.float64)

    def _judge_randomized(self, method: str) -> dict[str, FloatArray]:
        """Compare maps with those of networks that are shuffled from the head down."""
        ranks, structure = [], []
        shares = tqdm(SHARES, f"{method}: shuffled weights", leave=False, unit="network", disable=None)
        for share in shares:
            pairs = list(self._redraw(method, share))
            ranks.append([compare_ranks(*pair) for pair in pairs])
            structure.append([compare_structure(*pair) for pair in pairs])
        return {"ranks": np.array(ranks).T, "structure": np.array(structure).T}

    def _redraw(self, method: str, share: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        shuffled: dict[int, Members] = {}
        for subject in self.redrawn:
            key = id(subject.members)
            if key not in shuffled:
                shuffled[key] = subject.members.randomize(share)
            image, label = self.drawings.pixels.input(subject)[None], self.drawings.predicted[subject.id]
            yield self.drawings.read_map(method, subject), shuffled[key].draw(method, image, label)[0]


def take_criteria(judged: Mapping[str, Values]) -> dict[str, dict[str, FloatArray]]:
    """Return what each criterion of `CRITERIA` ranks methods by, those that could be judged.

    Args:
        judged: values by method.

    Returns:
        A number for each image, by criterion and method.
    """
    steps = next(iter(judged.values()))["deletion_curve"].shape[1] - 1
    from_curves = {
        "deletion": {name: _integrate(values["deletion_curve"], steps) for name, values in judged.items()},
        "insertion": {name: _integrate(values["insertion_curve"], steps) for name, values in judged.items()},
    }
    pointing = {name: values["pointing"] for name, values in judged.items()}
    randomization = {name: values["ranks"][:, -1] for name, values in judged.items()}
    known = {"pointing": pointing} if len(next(iter(pointing.values()))) else {}
    return {**from_curves, **known, "randomization": randomization}


def _integrate(curves: FloatArray, steps: int) -> FloatArray:
    return (curves[:, 1:] + curves[:, :-1]).sum(1) / (2 * steps)


def describe_values(values: Values) -> dict[str, Any]:
    """Return means over images for programs, in full precision."""
    return {name: rows.mean(0).tolist() if len(rows) else None for name, rows in values.items()}
