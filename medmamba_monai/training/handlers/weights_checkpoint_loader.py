"""Weights that an engine loads when it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import nn

from medmamba_monai.training.weights import load_weights


class WeightsCheckpointLoader:
    """Load weights when an engine starts; the handler form of `load_weights`.

    MONAI's clients of federated learning switch off each handler of an evaluation that has ``CheckpointLoader`` in its
    name, so that the weights that a server sent are evaluated.

    Args:
        network: where they go.
        path: the file.
        expected: see `load_weights`.
    """

    def __init__(self, network: nn.Module, path: str | Path, expected: dict[str, Any] | None = None) -> None:
        self.network = network
        self.path = Path(path)
        self.expected = expected

    def attach(self, engine: Engine) -> None:
        """Attach to any engine."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Load the weights."""
        load_weights(self.network, self.path, self.expected)
