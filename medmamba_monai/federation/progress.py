"""How far the training of a fold has come: what a server that was stopped goes on with."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_bytes
from medmamba_monai.networks.tensor_files import read_safetensors_file, serialize_safetensors

Weights = dict[str, np.ndarray]

_LAST, _BEST = "last.", "best."
_HEADER = "medmamba_monai_federation"


@dataclass(frozen=True)
class Progress:
    """The weights of a fold after a round.

    Attributes:
        weights: the common ones after the round.
        number: of the round; 0 before the first.
        best: number of the best round so far, the first of equals; 0 before the first.
        score: of the best round.
        kept: weights of the best round.
        key: digest of the key with which the weights are encrypted; empty where they are not.
    """

    weights: Weights
    number: int = 0
    best: int = 0
    score: float = -math.inf
    kept: Weights | None = None
    key: str = ""

    def add_round(self, weights: Weights, score: float) -> Progress:
        """Return what it is after one more round.

        Args:
            weights: the common ones after that round.
            score: of that round; minus infinity where it has none.
        """
        number = self.number + 1
        if self.kept is None or score > self.score:
            return replace(self, weights=weights, number=number, best=number, score=score, kept=weights)
        return replace(self, weights=weights, number=number)

    def write(self, path: Path) -> None:
        """Write it in one file, which is there whole or as it was.

        Raises:
            UserError: the file cannot be written.
        """
        parts = {_LAST: self.weights, _BEST: self.kept or {}}
        state = {f"{part}{name}": torch.tensor(value) for part, found in parts.items() for name, value in found.items()}
        score = None if math.isinf(self.score) else self.score
        header = {"number": self.number, "best": self.best, "score": score, "key": self.key}
        write_bytes(path, serialize_safetensors(state, {_HEADER: json.dumps(header)}))

    @classmethod
    def read(cls, path: Path) -> Progress:
        """Read what `write` wrote.

        Raises:
            UserError: the file is damaged, or no such file.
        """
        try:
            state, texts = read_safetensors_file(path)
            header = json.loads(texts[_HEADER])
            score = -math.inf if header["score"] is None else float(header["score"])
            kept = _select(state, _BEST)
            number, best, key = int(header["number"]), int(header["best"]), str(header.get("key", ""))
            return cls(_select(state, _LAST), number, best, score, kept or None, key)
        except (UserError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path}: cannot be read as the progress of a federation ({error}); remove it to train the fold anew"
            ) from error


def _select(state: Mapping[str, torch.Tensor], part: str) -> Weights:
    return {name.removeprefix(part): value.numpy() for name, value in state.items() if name.startswith(part)}
