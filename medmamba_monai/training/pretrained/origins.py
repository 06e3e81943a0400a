"""What weights were trained on, and whether a fold may start from them without having seen what it is judged by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import FoldList

HISTORY = "pretrained"
"""Name in the header of weights: what they started from themselves."""


@dataclass(frozen=True)
class Origin:
    """The training part of a fold that weights have seen.

    Attributes:
        dataset: short name of the dataset.
        fold: number of the fold.
        fold_digest: SHA-256 of what decides who is in which fold.
    """

    dataset: str
    fold: int
    fold_digest: str

    def describe(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)


def read_origins(description: Mapping[str, Any]) -> tuple[Origin, ...]:
    """Return all folds that weights were trained on, in the trainings before the last one, too.

    Args:
        description: what stands in the header of the weights.

    Raises:
        UserError: it is not what a training writes there.
    """
    before = description.get(HISTORY) or {}
    own = [description] if "fold_digest" in description and "fold" in description else []
    try:
        return tuple(
            dict.fromkeys(
                Origin(str(entry["dataset"]), int(entry["fold"]), str(entry["fold_digest"]))
                for entry in (*own, *before.get("trained_on", ()))
            )
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"its header does not say what it was trained on as this version writes it ({error!r})"
        ) from error


def check_origins(path: Path, origins: Iterable[Origin], fold_list: FoldList, fold: int) -> None:
    """Refuse weights that have seen images on which a fold selects or reports.

    Weights of the same dataset are accepted where they come from the same fold of the same list, whose training part
    is that of the new training.

    Args:
        path: of the weights, for messages.
        origins: what they were trained on.
        fold_list: of the training that is to begin.
        fold: its fold.

    Raises:
        UserError: they have seen such images, or it cannot be excluded.
    """
    for origin in origins:
        if origin.dataset != fold_list.name or (origin.fold, origin.fold_digest) == (fold, fold_list.digest):
            continue
        if origin.fold_digest == fold_list.digest:
            raise UserError(
                f"--pretrained {path}: was trained on fold {origin.fold} of {origin.dataset}, which has seen images "
                f"that fold {fold} is validated or tested on: its scores would be too good. Give the folder of the "
                "whole cross-validation, so that each fold starts from its own weights, or train that fold alone"
            )
        raise UserError(
            f"--pretrained {path}: was trained on {origin.dataset}, too, with other folds (digest "
            f"{origin.fold_digest[:12]}, now {fold_list.digest[:12]}), so that it may have seen images that fold "
            f"{fold} is validated or tested on. Pass the --data_list of that training, or start from other weights"
        )
