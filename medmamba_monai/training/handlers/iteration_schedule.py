"""The learning rate, set step by step."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events
from monai.handlers import LrScheduleHandler


class IterationSchedule(LrScheduleHandler):
    """MONAI's `LrScheduleHandler`, step by step, which sets the learning rate before an iteration and not after it.

    So the optimizer's rate at the end of an epoch, which is logged, is that of the epoch's last step, where MONAI's
    handler has set that of the next. Goes on after a resume where the scheduler's state is restored.

    Args:
        lr_scheduler: a scheduler of the trainer's optimizer that counts iterations.
    """

    def __init__(self, lr_scheduler: Any) -> None:
        super().__init__(lr_scheduler, print_lr=False, epoch_level=False)

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Set the rate of the iteration that starts; that of the first is set by the scheduler when it is made."""
        if engine.state.iteration > 1:
            super().__call__(engine)
