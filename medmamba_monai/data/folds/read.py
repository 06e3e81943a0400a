"""Reading of saved folds: whether they are whole, of the right dataset, and still fit the data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medmamba_monai.core.documents import read_document
from medmamba_monai.core.errors import UserError
from medmamba_monai.data.folds.fold_list import FoldList, compute_content_checksum
from medmamba_monai.data.folds.verify import verify_npz_labels, verify_sources

PREPARE_COMMAND = (
    "python -m monai.bundle run prepare --config_file configs/data.json, or medmamba-monai prepare BUNDLE, with the "
    "--dataset_dir and --data_list of this command"
)
"""How the folds are made, for messages: MONAI's command in the bundle's folder, or ours from anywhere."""


def read_fold_list(
    path: str | Path,
    dataset_dir: str | Path,
    verify: bool = True,
    name: str | None = None,
    reading: Mapping[str, Any] | None = None,
) -> FoldList:
    """Read a list that ``prepare`` wrote.

    Args:
        path: the ``folds.json``.
        dataset_dir: folder of the images.
        verify: whether to compare every source file with what it was when the folds were made; a file that did not
            change is read once per process.
        name: short name of the dataset that the list must be of; None takes any.
        reading: how the images must have been read when they were looked at; None takes any.

    Raises:
        UserError: the list is missing, was edited, is of another dataset, names a path outside ``dataset_dir``, or does
            not fit the data.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no fold list; run prepare first: {PREPARE_COMMAND}")
    folds = read_document(path, FoldList, {"path": path, "dataset_dir": Path(dataset_dir)})
    if name not in (None, folds.name):
        raise UserError(f"{path}: holds the folds of {folds.name!r}, needed are those of {name!r}; pass its data_list")
    if reading is not None and dict(reading) != folds.reading:
        raise UserError(
            f"{path}: was prepared with reading {folds.reading}, this bundle reads with {dict(reading)}; run prepare "
            "again, or generate the bundle again from its card: medmamba-monai bundle CARD BUNDLE"
        )
    if (digest := folds.compute_digest()) != folds.digest:
        raise UserError(
            f"{path}: was edited: its digest says {folds.digest[:12]}, its content gives {digest[:12]}; "
            f"move it away and run prepare again: {PREPARE_COMMAND}"
        )
    content = json.loads(path.read_text(encoding="utf-8"))
    if folds.checksum not in (None, compute_content_checksum(content)):
        raise UserError(
            f"{path}: is damaged or was edited: it does not give its checksum; move it away and run prepare again: "
            f"{PREPARE_COMMAND}"
        )
    if verify:
        verify_sources(folds)
        verify_npz_labels(folds)
    return folds.model_copy(update={"checksum": None})
