"""Networks of all folds as one: their weights, and the images that none of them has seen."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import FoldList


def list_fold_weights(folder: str | Path, num_folds: int) -> list[str]:
    """Return the files of weights that trainings of all folds leave in a folder, fold by fold."""
    return [str(RunFolder(folder).fold(fold).weights) for fold in range(num_folds)]


def copy_networks(network: nn.Module, paths: Sequence[str | Path], single: str | Path | None = None) -> list[nn.Module]:
    """Copy a network for each file of weights; `EnsembleLoader` loads them.

    Args:
        network: what is copied.
        paths: the files, which need not be there yet.
        single: the file of a single network, which an ensemble has no use for.

    Raises:
        UserError: ``paths`` is no list, empty, or names a file twice; or there is a ``single`` one.
    """
    if single is not None:
        raise UserError(f"--ckpt_path {single}: an ensemble takes a list of files, --ckpt_paths")
    if isinstance(paths, (str, Path)) or not paths:
        raise UserError(f"--ckpt_paths {paths!r}: give a list of files, such as \"['a/model.pt','b/model.pt']\"")
    for number, path in enumerate(paths):
        if path in paths[:number]:
            raise UserError(f"--ckpt_paths: {path} is named twice and would count twice; name each file once")
    return [copy.deepcopy(network) for _ in paths]


def select_ensemble_items(folds: FoldList) -> list[dict[str, Any]]:
    """Select the samples that no fold's training has seen: the test set, each with ``part`` ``test``.

    Raises:
        UserError: there is no test set, neither an official one nor one held out.
    """
    if not folds.has_test_set:
        raise UserError(
            f"{folds.path}: this dataset has no official test set. Every image was a training image of other folds, so "
            "an ensemble of all folds cannot be evaluated on it; evaluate each fold with configs/evaluate.json"
        )
    return [{**item, "part": "test"} for item in folds.parts(0)["test"]]
