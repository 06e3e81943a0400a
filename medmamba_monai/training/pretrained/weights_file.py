"""A file of weights from elsewhere: its digest, its kind, its classes and its tensors."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import FoldList
from medmamba_monai.networks.official_weights import read_foreign_weights
from medmamba_monai.training.pretrained.origins import HISTORY, Origin, check_origins, read_origins
from medmamba_monai.training.pretrained.seen import SeenImages, check_seen, read_seen
from medmamba_monai.training.weights import read_description

CLASS_INDICES = "class_indices.json"
"""File beside a checkpoint that says which class each row of its head is: ``{"0": "first class", ...}``."""

Kind = Literal["official", "run", "self-supervised", "unknown"]


class WeightsFile:
    """A file of weights; nothing is read until it is asked for.

    Args:
        path: ``.pt``, ``.pth`` or ``.safetensors``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file.

        Raises:
            UserError: it cannot be read.
        """
        try:
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        except OSError as error:
            raise UserError(f"--pretrained {self.path}: cannot be read ({error.strerror})") from error

    @cached_property
    def description(self) -> dict[str, Any]:
        """What the header says of the training; empty where nothing is said.

        The header of a ``.pt`` is that of the ``.safetensors`` beside it, which must hold the same weights.

        Raises:
            UserError: the header cannot be read, or is of other weights.
        """
        described, beside = read_description(self.path), self.path.with_suffix(".safetensors")
        if described and beside != self.path and not _are_same(_read(beside)[0], self.state):
            raise UserError(
                f"--pretrained {self.path}: {beside.name} beside it holds other weights, so that what it says of "
                "classes and folds is not said of these; give the one that is meant, or move the other away"
            )
        return described

    @cached_property
    def origins(self) -> tuple[Origin, ...]:
        """The folds that the weights were trained on.

        Raises:
            UserError: the header cannot be read.
        """
        try:
            return read_origins(self.description)
        except UserError as error:
            raise UserError(f"--pretrained {self.path}: {error}") from error

    @cached_property
    def seen(self) -> tuple[SeenImages, ...]:
        """The images without labels that the weights were pretrained on.

        Raises:
            UserError: the header cannot be read.
        """
        try:
            return read_seen(self.description, self.description.get(HISTORY) or {})
        except UserError as error:
            raise UserError(f"--pretrained {self.path}: {error}") from error

    def check_unseen(self, fold_list: FoldList, fold: int) -> None:
        """Refuse weights that have seen images on which a fold selects or reports.

        Args:
            fold_list: of the training that is to begin.
            fold: its fold.

        Raises:
            UserError: they have seen such images, or it cannot be excluded.
        """
        check_origins(self.path, self.origins, fold_list, fold)
        check_seen(self.path, self.seen, fold_list, fold)

    @property
    def kind(self) -> Kind:
        """Where the weights come from, as far as the file says."""
        if self._content[1]:
            return "official"
        if self.description.get("self_supervised"):
            return "self-supervised"
        return "run" if "class_names" in self.description else "unknown"

    @property
    def state(self) -> dict[str, Tensor]:
        """The tensors, with the key names of this package.

        Raises:
            UserError: the file cannot be read as tensors alone.
        """
        return self._content[0]

    @cached_property
    def class_names(self) -> tuple[str, ...] | None:
        """The classes of the head in the order of its rows; None where nothing says which they are.

        The header of our own weights says it; for others a file named `CLASS_INDICES` beside them can.

        Raises:
            UserError: that file is damaged.
        """
        if "class_names" in self.description:
            return tuple(map(str, self.description["class_names"]))
        path = self.path.with_name(CLASS_INDICES)
        if not path.is_file():
            return None
        try:
            names = json.loads(path.read_text(encoding="utf-8"))
            return tuple(str(names[str(row)]) for row in range(len(names)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f'{path}: is not of the form {{"0": "first class", "1": "second class"}}') from error

    @cached_property
    def _content(self) -> tuple[dict[str, Tensor], bool]:
        return _read(self.path)


def _read(path: Path) -> tuple[dict[str, Tensor], bool]:
    with torch.random.fork_rng(devices=[]):  # a network is built on the way, which draws numbers
        return read_foreign_weights(path)


def _are_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[key].dtype == value.dtype and torch.equal(one[key].nan_to_num(), value.nan_to_num())
        for key, value in other.items()
    )
