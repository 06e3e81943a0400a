"""A fold list whose images have records, and predictions of networks that see a part of what decides the class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.folds.fold_list import FoldList, build_fold_list
from medmamba_monai.data.folds.hold_out import hold_out_test
from medmamba_monai.data.folds.make import make_folds
from medmamba_monai.data.samples import Record, Sample
from medmamba_monai.evaluation import Predictions
from tests.helpers.small_data import folder_card, small_card

NAMES = ("Cat", "Dog")
COLUMNS: list[dict[str, Any]] = [
    {"name": "age", "kind": "number", "unit": "years"},
    {"name": "sex", "kind": "category"},
]
RECORDS = {"columns": COLUMNS, "path": "clinic.csv", "image_column": "file"}
BY_PLACE = {"columns": COLUMNS, "path": "clinic.csv", "split_column": "split", "index_column": "index"}


def make_fold_list(
    labels: NDArray[np.int64],
    records: list[Record],
    num_folds: int = 3,
    test: int = 0,
    records_too: bool = True,
    groups: list[str] | None = None,
    hold_out: float | None = None,
) -> FoldList:
    """Fold images with these labels and records; the last ``test`` of them are the official test set.

    Without one, the share ``hold_out`` of the images is kept out, whole groups.
    """
    splits = ["test" if number >= len(labels) - test else "train" for number in range(len(labels))]
    known = groups or [None] * len(labels)
    samples = [
        Sample(f"image-{number:05d}", f"{number}.png", int(label), splits[number] if test else None, group, record)
        for number, (label, record, group) in enumerate(zip(labels, records, known, strict=True))
    ]
    card = small_card(records=BY_PLACE) if test else folder_card(records=RECORDS)
    card = card if records_too else card.model_copy(update={"records": None})
    samples = samples if hold_out is None else hold_out_test(samples, hold_out, 0, card.class_names)
    folds = make_folds(samples, num_folds, 0, card.class_names)
    return build_fold_list(card, samples, folds, [], DatasetFolder(Path()), Path("folds.json"))


def predict_with(
    fold_list: FoldList, scores: NDArray[np.float64] | list[NDArray[np.float64]]
) -> dict[int, Predictions]:
    """Predictions of each fold from the log odds of each image, by the number in its id; one array for each fold."""
    found = {}
    for fold in range(fold_list.num_folds):
        odds = scores[fold] if isinstance(scores, list) else scores
        items = [(part, item) for part, kept in fold_list.parts(fold).items() if part != "train" for item in kept]
        numbers = [int(item["id"][-5:]) for _, item in items]
        found[fold] = Predictions(
            probabilities=1 / (1 + np.exp(-odds[numbers])),
            labels=np.array([item["label"] for _, item in items]),
            task="binary",
            groups=[item["group"] for _, item in items] if fold_list.has_groups else None,
            ids=[item["id"] for _, item in items],
            parts=[part for part, _ in items],
            class_names=NAMES,
        )
    return found
