"""Weights of an ensemble that an engine loads when it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.training.weights import load_weights


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
