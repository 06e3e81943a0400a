"""``unlike.safetensors``: means, covariances and distances, by fold and by what they are of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_bytes
from medmamba_monai.evaluation.scores import FloatArray
from medmamba_monai.evaluation.statistics.unlike import Cloud, Likeness
from medmamba_monai.networks.tensor_files import read_safetensors_file, serialize_safetensors

_PARTS = ("mean", "factor", "known")


def write_likeness(path: Path, folds: Mapping[int, Likeness]) -> None:
    """Write what training images are like for the network of each fold, distances in ascending order of the first."""
    tensors = {}
    for fold, likeness in folds.items():
        order = np.argsort(next(iter(likeness.known.values())), kind="stable")
        for kind, cloud in likeness.clouds.items():
            arrays = (cloud.mean, cloud.factor, likeness.known[kind][order])
            for part, array in zip(_PARTS, arrays, strict=True):
                tensors[f"{fold}.{kind}.{part}"] = torch.from_numpy(np.ascontiguousarray(array))
    write_bytes(path, serialize_safetensors(tensors, {}))


def read_likeness(path: Path) -> dict[int, Likeness]:
    """Read what `write_likeness` wrote.

    Raises:
        UserError: it cannot be read.
    """
    try:
        tensors, _ = read_safetensors_file(path)
    except UserError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    found: dict[int, dict[str, dict[str, FloatArray]]] = {}
    for name, tensor in tensors.items():
        fold, kind, part = name.split(".")
        found.setdefault(int(fold), {}).setdefault(kind, {})[part] = tensor.double().numpy()
    return {
        fold: Likeness(
            {kind: Cloud(arrays["mean"], arrays["factor"]) for kind, arrays in kinds.items()},
            {kind: arrays["known"] for kind, arrays in kinds.items()},
        )
        for fold, kinds in found.items()
    }
