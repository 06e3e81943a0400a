"""The folds of the run that a package was made of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from medmamba_monai.core.documents import read_document
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import FoldList, read_fold_list
from medmamba_monai.package.open import Package


class _Described(BaseModel):
    """Where a cross-validation found its folds and its images."""

    data_list: Path
    dataset_dir: Path


def read_folds_of_run(
    package: Package, run: str | os.PathLike[str], dataset_dir: str | os.PathLike[str] | None = None
) -> FoldList:
    """Read the folds of the cross-validation that a package was made of.

    Args:
        package: of the run.
        run: folder of the cross-validation.
        dataset_dir: folder of the images; by default where the run found them.

    Raises:
        UserError: the folds or the images are not where they were, or are others.
    """
    described = read_document(RunFolder(run).description, _Described)
    images = described.dataset_dir if dataset_dir is None else Path(dataset_dir)
    folds = read_fold_list(described.data_list, images, name=package.card.name)
    if folds.digest != package.manifest.fold_digest:
        raise UserError(
            f"{run}: has other folds ({folds.digest[:12]}) than the package ({package.manifest.fold_digest[:12]}); "
            "give the run that the package was made of"
        )
    return folds


def list_test_parts(
    package: Package, folds: FoldList, images: int | None = None
) -> list[tuple[list[int], list[dict[str, Any]]]]:
    """Return test images of a run, with the folds whose networks judge them together.

    With an official test set these are all folds, else each fold's own test part has that fold.

    Args:
        package: of the run.
        folds: of the run.
        images: how many at most, an equal share of each part and at least one, drawn with a fixed seed; None for all.
    """
    shared = folds.protocol != "cross-validation"
    members = [list(package.networks)] if shared else [[fold] for fold in package.networks]
    return [(part, _draw(folds.parts(part[0])["test"], images, len(members))) for part in members]


def _draw(items: Sequence[dict[str, Any]], images: int | None, parts: int) -> list[dict[str, Any]]:
    if images is None or images // parts >= len(items):
        return list(items)
    chosen = np.random.default_rng(0).permutation(len(items))[: max(1, images // parts)]
    return [items[index] for index in sorted(chosen)]
