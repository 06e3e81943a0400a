"""Weights that a training starts from, loaded before its first epoch and never when it goes on."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import nn

from medmamba_monai.cards import DatasetCard
from medmamba_monai.data import FoldList
from medmamba_monai.training.handlers.given_weights import GivenWeights
from medmamba_monai.training.pretrained.find import find_weights
from medmamba_monai.training.pretrained.fit import FittedWeights, fit_weights
from medmamba_monai.training.pretrained.origins import HISTORY
from medmamba_monai.training.pretrained.seen import SEEN
from medmamba_monai.training.pretrained.weights_file import WeightsFile
from medmamba_monai.training.weights import unwrap


class StartingWeights:
    """Load weights from elsewhere into a network that begins its training.

    Attach it after `ResumableCheckpoint`: a training that goes on keeps the weights of its checkpoint, and one that was
    given weights by a server keeps those.

    Args:
        source: file or folder, see `find_weights`; None for a training from scratch.
        fold: number of the fold that is trained.
        network: that is trained, wrapped or not.
        card: of its dataset.
        fold_list: its folds.
        validated: the network that is validated where it is another one, an average of the first.
        given_weights: what knows whether the trainer was given weights; None where none are given.
    """

    def __init__(
        self,
        source: str | Path | None,
        fold: int,
        network: nn.Module,
        card: DatasetCard,
        fold_list: FoldList,
        validated: nn.Module | None = None,
        given_weights: GivenWeights | None = None,
    ) -> None:
        self.source = source
        self.fold = fold
        self.networks = [network] if validated is None or validated is network else [network, validated]
        self.card = card
        self.fold_list = fold_list
        self.given_weights = given_weights
        self.logger = logging.getLogger("medmamba_monai.training")

    @cached_property
    def file(self) -> WeightsFile:
        """The file, after a look at where it comes from.

        Raises:
            UserError: there is none, it cannot be read, or it has seen images that this fold is judged by.
        """
        assert self.source is not None
        file = WeightsFile(find_weights(self.source, self.fold))
        file.check_unseen(self.fold_list, self.fold)
        return file

    @cached_property
    def fitted(self) -> FittedWeights:
        """The weights as the network takes them.

        Raises:
            UserError: they do not fit.
        """
        return fit_weights(self.file, unwrap(self.networks[0]), self.card)

    @property
    def identity(self) -> str | None:
        """Kind and SHA-256 of the file, without its name; None for a training from scratch."""
        return f"{self.file.kind} sha256:{self.file.digest}" if self.source else None

    @property
    def history(self) -> dict[str, Any]:
        """What is kept in the header of the new weights: what they come from, and what that was trained on."""
        if not self.source:
            return {}
        trained_on = [origin.describe() for origin in self.file.origins]
        history = {"kind": self.file.kind, "sha256": self.file.digest, "trained_on": trained_on}
        return {HISTORY: history | ({SEEN: [one.describe() for one in self.file.seen]} if self.file.seen else {})}

    def describe(self) -> str:
        """Return in words what the training starts from, without the file's name."""
        if not self.source:
            return "none"
        seen = ", ".join(f"{origin.dataset} (fold {origin.fold})" for origin in self.file.origins)
        trained = f"trained on {seen}" if seen else "it is not known which images they were trained on"
        if images := sum(len(one.pixels) for one in self.file.seen):
            trained = f"pretrained on {images} images without labels" + (f", {trained}" if seen else "")
        return "; ".join([f"{self.file.kind} weights {self.file.digest[:12]}, {trained}", *self.fitted.notes])

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Load the weights if the training begins."""
        if not self.source or engine.state.epoch > 0 or (self.given_weights is not None and self.given_weights.found):
            return
        for network in self.networks:
            unwrap(network).load_state_dict(self.fitted.state)
        self.logger.info(f"starting from {self.describe()}")
