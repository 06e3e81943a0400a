"""Maps of a cross-validation's most confident mistakes: what spoke for the true class, and what for the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import FoldList
from medmamba_monai.evaluation.figures.maps import Tile, choose_planes, draw_maps
from medmamba_monai.evaluation.figures.style import format_fraction
from medmamba_monai.evaluation.figures.tiles import shorten_start
from medmamba_monai.evaluation.results.mistakes import Case
from medmamba_monai.explain import EXPLANATIONS
from medmamba_monai.explain.curves import compute_curves
from medmamba_monai.explanations.explain import choose_methods
from medmamba_monai.explanations.subjects import Pixels, Subject, list_run_subjects
from medmamba_monai.package import open_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAPPED = 6
"""Mistakes that are mapped, at most."""
STEPS = 8
"""Of the curves behind a map's score; more would take their time at the end of each cross-validation."""


def draw_mistake_maps(folder: RunFolder, folds: FoldList, cases: Sequence[Case], title: str) -> Figure:
    """Draw mistakes with two maps each, of the true class and of the predicted one, and each map's score.

    The networks are those that judged the image in the cross-validation; the method is the first that can explain them.

    Args:
        folder: of the cross-validation, whose review has been written.
        folds: its folds.
        cases: mistakes of a task with one class an image, at least one.
        title: of the dataset.

    Raises:
        UserError: the run leaves no networks that a package can hold, or an image cannot be read.
    """
    package = open_run(folder, folds="finished")
    subjects = {subject.id: subject for subject in list_run_subjects(package, folds)}
    chosen = [subjects[case.id] for case in cases[:MAPPED]]
    method, pixels = choose_methods(chosen, (), judge=False)[0], Pixels(package)
    pairs = zip(chosen, cases, strict=False)
    tiles = [tile for subject, case in pairs for tile in _make_tiles(method, pixels, subject, case)]
    return draw_maps(tiles, 6, f"{EXPLANATIONS[method].title} of mistakes: {title}")


def _make_tiles(method: str, pixels: Pixels, subject: Subject, case: Case) -> list[Tile]:
    image, shown = pixels.input(subject), pixels.shown(subject)
    tiles: list[Tile] = []
    for kind, name in (("true", case.true), ("taken for", case.predicted)):
        label = pixels.package.manifest.class_names.index(name)
        values = subject.members.draw(method, image[None], label)[0]
        score = compute_curves(subject.members.predict, image, values, label, STEPS).score
        plane, values = _choose_plane(shown, values)
        if not tiles:
            said = f"✗ {format_fraction(case.probability)} {case.predicted}"
            tiles.append(Tile(_lay_out(plane), [said, f"true: {case.true}", shorten_start(case.id)]))
        tiles.append(Tile(_lay_out(plane), [f"{kind}: {name}", f"score {round(score, 3) + 0.0:+.3f}"], values))
    return tiles


def _choose_plane(shown: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the image and its map, of a volume the axial plane through the map's largest value."""
    return (shown, values) if shown.ndim == 3 else choose_planes(shown, values)[0][1:]


def _lay_out(image: np.ndarray) -> np.ndarray:
    return image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
