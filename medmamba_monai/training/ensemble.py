"""The networks of all folds as one: their weights, and the images that none of them has seen."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import FoldList
from medmamba_monai.training.weights import load_weights


def fold_weights(folder: str | Path, num_folds: int) -> list[str]:
    """The files of weights that trainings of all folds leave in a folder, fold by fold."""
    return [str(Path(folder) / f"fold_{fold}" / "model.pt") for fold in range(num_folds)]


def ensemble_networks(
    network: nn.Module, paths: Sequence[str | Path], single: str | Path | None = None
) -> list[nn.Module]:
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


class EnsembleLoader:
    """Load the weights of an ensemble when an engine starts; the handler form of `load_weights` for several networks.

    Args:
        networks: where they go.
        paths: a file for each network.
        expected: see `load_weights`; the ``fold`` is left out, as each has another.
    """

    def __init__(self, networks: Sequence[nn.Module], paths: Sequence[str | Path], expected: Mapping[str, Any]) -> None:
        self.networks = list(networks)
        self.paths = list(paths)
        self.expected = {key: value for key, value in expected.items() if key != "fold"}

    def attach(self, engine: Engine) -> None:
        """Attach to any engine."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Load the weights.

        Raises:
            UserError: a file is missing, or does not fit the network or what is expected; names the file.
        """
        for path in self.paths:
            if not Path(path).is_file():
                raise UserError(f"no weights at {path}: train this fold too, or name the files with --ckpt_paths")
        for network, path in zip(self.networks, self.paths, strict=True):
            load_weights(network, path, self.expected)


def ensemble_items(folds: FoldList) -> list[dict[str, Any]]:
    """The samples that no fold's training has seen: the official test set, each with ``part`` ``test``.

    Raises:
        UserError: there is no official test set.
    """
    if folds.protocol != "official-test":
        raise UserError(
            f"{folds.path}: this dataset has no official test set. Every image was a training image of other folds, so "
            "an ensemble of all folds cannot be evaluated on it; evaluate each fold with configs/evaluate.json"
        )
    return [{**item, "part": "test"} for item in folds.parts(0)["test"]]
