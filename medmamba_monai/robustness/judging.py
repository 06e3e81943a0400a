"""Probabilities of corrupted test images, kept in the run's folder so that a measurement goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import FoldList
from medmamba_monai.evaluation.scores import FloatArray, Scores
from medmamba_monai.package import Package, list_test_parts
from medmamba_monai.robustness.corruptions import CORRUPTIONS

CLEAN = "none"
"""In a corruption's place: the images as they are."""


class Judge:
    """The networks of a run and the test images that each of them has not seen.

    Args:
        package: of all finished folds.
        folds: of the run.
        folder: of the run, where probabilities are kept.
        images: how many test images are taken at most, drawn with a fixed seed; None for all.
    """

    def __init__(self, package: Package, folds: FoldList, folder: RunFolder, images: int | None = None) -> None:
        self.package, self.folder = package, folder
        self.parts = list_test_parts(package, folds, images)
        self.items = [item for _, items in self.parts for item in items]
        self.identity = _digest([package.digest, *(item["id"] for item in self.items)])

    def score(self, corruption: str, severity: int) -> Scores:
        """Judge all images under a corruption, or read what an earlier measurement kept.

        Args:
            corruption: a name of `CORRUPTIONS`, or `CLEAN`.
            severity: 1 to 5, 0 of clean images.

        Raises:
            UserError: an image cannot be read.
        """
        path = self.folder.corrupted_predictions(corruption, severity)
        strength = None if corruption == CLEAN else CORRUPTIONS[corruption].strengths[severity - 1]
        described = {"identity": self.identity, "strength": strength}
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if described.items() <= kept.items():
                return self._make_scores(np.array(kept["probabilities"]))
        probabilities = self._judge(corruption, severity)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {**described, "probabilities": probabilities.tolist()})
        return self._make_scores(probabilities)

    def _make_scores(self, probabilities: FloatArray) -> Scores:
        labels = np.array([item["label"] for item in self.items])
        groups = [item["group"] for item in self.items] if "group" in self.items[0] else None
        return Scores(probabilities, labels, self.package.manifest.task, groups)

    def _judge(self, corruption: str, severity: int) -> FloatArray:
        corrupt = _make_corrupt(corruption, severity)
        rows = [self._judge_part(part, items, corrupt) for part, items in self.parts]
        return np.concatenate(rows)

    def _judge_part(
        self, members: Sequence[int], items: Sequence[dict[str, Any]], corrupt: Callable[[Tensor, str], Tensor]
    ) -> FloatArray:
        whole = self.package
        networks = {fold: whole.networks[fold] for fold in members}
        package = Package(whole.manifest, whole.card, networks, whole.device, whole.digest, {})
        images = (corrupt(package.read(item["image"]), item["id"]) for item in items)
        return package.predict_pixels(images).probabilities


def _make_corrupt(corruption: str, severity: int) -> Callable[[Tensor, str], Tensor]:
    if corruption == CLEAN:
        return lambda image, _: image
    return lambda image, seed: CORRUPTIONS[corruption](image, severity, seed)


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
