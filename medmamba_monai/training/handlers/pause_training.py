"""A pause of a training after some of its epochs, to go on later as if there had been none."""

from __future__ import annotations

import logging

from ignite.engine import Events
from monai.engines import Trainer

from medmamba_monai.training.handlers.early_stop import EarlyStop


class PauseTraining:
    """Stop the trainer after some of its epochs; the schedule of its learning rate stays that of all of them.

    Started again with a later pause or with none, it goes on from its checkpoint and ends with bit-identical weights on
    the CPU. Attach it after `ResumableCheckpoint`, so that a training that is restored beyond the pause trains no
    further epoch.

    Args:
        after: epochs after which it stops; None never stops.
        early_stop: a training whose patience is spent has ended, and does not pause.

    Attributes:
        paused: whether the training ended at its pause, with epochs left.
    """

    def __init__(self, after: int | None, early_stop: EarlyStop | None = None) -> None:
        self.after = after
        self.early_stop = early_stop
        self.paused = False
        self.logger = logging.getLogger("medmamba_monai.training")

    def attach(self, engine: Trainer) -> None:
        """Attach to a trainer."""
        if self.after is not None:
            engine.add_event_handler(Events.STARTED, self.stop)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.stop)
            engine.add_event_handler(Events.COMPLETED, self.explain)

    def stop(self, engine: Trainer) -> None:
        """Stop where the pause is reached."""
        if self.is_reached(engine):
            engine.terminate()

    def explain(self, engine: Trainer) -> None:
        """Say that the training is not at its end, where it is not."""
        self.paused = self.is_reached(engine)
        if self.paused:
            self.logger.info(
                f"paused after epoch {engine.state.epoch} of {engine.state.max_epochs}; start it again with a later "
                "--pause_after, or without it, to go on"
            )

    def is_reached(self, engine: Trainer) -> bool:
        """Say whether the trainer is at its pause, with epochs left that it has not given up."""
        ended = self.early_stop is not None and self.early_stop.exhausted
        return self.after is not None and self.after <= engine.state.epoch < engine.state.max_epochs and not ended
