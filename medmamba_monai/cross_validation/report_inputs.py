"""Inputs of a report beside predictions: learning curves, the balance of the folds, images of cases."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from medmamba_monai.cards import DatasetCard
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import FoldList
from medmamba_monai.data.counts import count_labels
from medmamba_monai.evaluation.results.mistakes import Case
from medmamba_monai.images import ReadImage
from medmamba_monai.tracking.journal_file import read_lines

History = Mapping[str, Sequence[tuple[int, float]]]


def read_history(directory: str | os.PathLike[str]) -> dict[str, list[tuple[int, float]]]:
    """Read the metrics of a training over its epochs, from the journal in a fold's folder.

    Returns:
        (epoch, value) by name, such as ``validation/auc``, in the order of the epochs; of a training that was begun
        anew, the last one alone.
    """
    history: dict[str, dict[int, float]] = defaultdict(dict)
    for line in read_lines(RunFolder(directory).journal):
        if line["op"] == "start":
            history.clear()
        elif line["op"] == "metrics" and line["step"] > 0:
            for name, value in line["values"].items():
                history[name][line["step"]] = value
    return {name: sorted(values.items()) for name, values in history.items()}


def count_classes(card: DatasetCard, fold_list: FoldList) -> dict[str, list[int]]:
    """Count how many images of each class are in each fold and in the test set, in label order."""
    rows = [(f"fold {item.fold}", item.label) for item in sorted(fold_list.training, key=lambda item: item.fold)]
    rows += [("test", item.label) for item in fold_list.test]
    return {row: list(counts.values()) for row, counts in count_labels(card, rows).items()}


def read_case_images(fold_list: FoldList, cases: Sequence[Case]) -> list[np.ndarray]:
    """Read the images of some cases as people see them, before they are resized.

    Returns:
        uint8 arrays (rows, columns), or (rows, columns, 3) of color images; of a volume the middle slice of its third
        axis as radiologists see it: anterior is up, and the patient's right on the left.

    Raises:
        UserError: an image cannot be read.
    """
    places = {item["id"]: item["image"] for part in fold_list.parts(0).values() for item in part}
    read = ReadImage(**fold_list.reading)
    return [_show_image(read(places[case.id]).numpy()) for case in cases]


def _show_image(image: np.ndarray) -> np.ndarray:
    if image.ndim == 4:
        image = np.rot90(image[..., image.shape[-1] // 2], axes=(1, 2))[..., ::-1]
    pixels = np.rint(image).astype(np.uint8)
    return pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)
