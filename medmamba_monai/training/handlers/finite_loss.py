"""A training that stops when its loss is no longer a number."""

from __future__ import annotations

import logging
from typing import Any

import torch
from ignite.engine import Engine
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

from medmamba_monai.core.errors import UserError


class TrainingDiverged(UserError):
    """The loss or a weight is no longer a finite number."""


def describe_kept_checkpoint(epoch: int) -> str:
    """Return in a sentence what remains of a training that stops in this epoch, from 1."""
    return "The last good checkpoint is kept." if epoch > 1 else "No epoch was finished, so there is no checkpoint yet."


class FiniteLoss:
    """Stop before the optimizer step when the loss is NaN or infinite.

    The weights are still those of the last good step, and the last checkpoint is untouched. Attach it to the trainer.

    Args:
        id_key: key of the batch that holds the samples' ids, named in the message.
    """

    def __init__(self, id_key: str = "id") -> None:
        self.id_key = id_key
        self.logger = logging.getLogger("medmamba_monai.training")

    def attach(self, engine: Engine) -> None:
        """Attach to a `SupervisedTrainer`."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Check the loss of this iteration."""
        state: Any = engine.state
        loss = state.output[CommonKeys.LOSS]
        if torch.isfinite(loss):
            return
        in_epoch = (state.iteration - 1) % (state.epoch_length or state.iteration) + 1
        raise TrainingDiverged(
            f"the loss is {loss.item()} in epoch {state.epoch}, batch {in_epoch} (samples "
            f"{self._name_samples(state.batch)}). {describe_kept_checkpoint(state.epoch)} Look at these images, or "
            "lower --learning_rate and start again."
        )

    def _name_samples(self, batch: Any) -> str:
        ids = [str(name) for name in batch[self.id_key]] if self.id_key in batch else ["without ids"]
        shown = ", ".join(ids[:8])
        return shown if len(ids) <= 8 else f"{shown} and {len(ids) - 8} more"
