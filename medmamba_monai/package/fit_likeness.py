"""From the images of a run to what they are like for the network of each fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from medmamba_monai.data.folds.fold_list import FoldList
from medmamba_monai.evaluation.statistics.unlike import Likeness, Vectors
from medmamba_monai.package.open import Package

MOST_IMAGES = 1500
"""Images that are looked at; more of them change the covariances little and take their time."""

_PARTS = ("train", "validation")


def fit_likeness(package: Package, folds: FoldList) -> tuple[dict[int, Likeness], dict[str, int]]:
    """Look at images of the run, each for the networks that were trained or validated with it.

    Args:
        package: whose networks look.
        folds: of the run.

    Returns:
        What they are like, by fold; and how many images of ``train`` and ``validation`` that is from, over all folds.

    Raises:
        UserError: an image cannot be read, or there are too few.
    """
    parts = {fold: {name: folds.parts(fold)[name] for name in _PARTS} for fold in package.networks}
    drawn = draw_items([item for part in parts.values() for items in part.values() for item in items])
    vectors = measure_items(package, list(drawn.values()))
    row_of = {name: row for row, name in enumerate(drawn)}
    found, counts = {}, dict.fromkeys(_PARTS, 0)
    for fold, part in parts.items():
        rows = {name: [row_of[item["id"]] for item in part[name] if item["id"] in row_of] for name in _PARTS}
        training, validation = ({kind: v[rows[name]] for kind, v in vectors[fold].items()} for name in _PARTS)
        found[fold] = Likeness.fit(training, validation)
        counts = {name: counts[name] + len(rows[name]) for name in _PARTS}
    return found, counts


def draw_items(items: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Draw images of those that may be named several times, the same at each call, by their ids."""
    distinct = {item["id"]: item for item in sorted(items, key=lambda item: item["row"])}
    names = list(distinct)
    chosen = np.random.default_rng(0).permutation(len(names))[:MOST_IMAGES]
    return {names[row]: distinct[names[row]] for row in sorted(chosen)}


def measure_items(package: Package, items: Sequence[dict[str, Any]]) -> dict[int, Vectors]:
    """Return the vectors of images for the network of each fold."""
    size = package.manifest.batch_size
    starts = tqdm(range(0, len(items), size), "unlike", leave=False, unit="batch", disable=None)
    batches = [
        package.judge([package.read(item["image"]) for item in items[start : start + size]], True).vectors
        for start in starts
    ]
    return {
        fold: {kind: np.concatenate([batch[fold][kind] for batch in batches]) for kind in batches[0][fold]}
        for fold in package.networks
    }
