"""Weights that the folds of a cross-validation start from, looked at before anything is written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from medmamba_monai.data import FoldList
from medmamba_monai.training.pretrained.find import find_weights
from medmamba_monai.training.pretrained.weights_file import WeightsFile


def identify_starting_weights(source: str | Path | None, fold_list: FoldList, folds: Sequence[int]) -> str | None:
    """Check that the folds may start from the weights, and return what these are.

    Args:
        source: what the option ``pretrained`` names; None for trainings from scratch.
        fold_list: of the cross-validation.
        folds: those that are asked for.

    Returns:
        Their kind and a SHA-256, without their names: of the one file, or of the digests of the files of all folds;
        None for trainings from scratch.

    Raises:
        UserError: there are no weights, they cannot be read, or a fold may not start from them.
    """
    if source is None:
        return None
    files = _find_files(source, fold_list.num_folds)
    for fold in folds:
        files[fold].check_unseen(fold_list, fold)
    return _describe(files)


def describe_starting_weights(source: str | Path, num_folds: int) -> str:
    """Return what `identify_starting_weights` does, before there are folds; nothing is checked.

    Args:
        source: what the option ``pretrained`` names.
        num_folds: how many folds there will be.

    Raises:
        UserError: there are no weights, or they cannot be read.
    """
    return _describe(_find_files(source, num_folds))


def _find_files(source: str | Path, num_folds: int) -> list[WeightsFile]:
    return [WeightsFile(find_weights(source, fold)) for fold in range(num_folds)]


def _describe(files: Sequence[WeightsFile]) -> str:
    digests = list(dict.fromkeys(file.digest for file in files))
    together = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return f"{files[0].kind} sha256:{together}"
