"""What an optimizer is told beside the gradients: which parameters decay, and its learning rate step by step."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events
from monai.handlers import LrScheduleHandler
from torch import nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.training.weights import unwrap


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Group the parameters of any network for an optimizer, so that biases and norms do not decay.

    Args:
        network: a network, wrapped for distributed training or not; one that has a method of this name, as `MedMamba`,
            is asked itself. Of others, parameters with at most one axis (biases, norms, scales) do not decay.
        weight_decay: weight decay of all other parameters, at least 0.

    Returns:
        Two groups with the keys ``params`` and ``weight_decay``, as ``torch.optim`` takes them.

    Raises:
        UserError: the weight decay is no number from 0.
    """
    if not (type(weight_decay) in (int, float) and weight_decay >= 0):
        raise UserError(f"weight decay {weight_decay!r}: give a number from 0")
    target = unwrap(network)
    own: Any = getattr(target, "parameter_groups", None)
    if own is not None:
        return list(own(weight_decay))
    parameters = list(target.parameters())
    return [
        {"params": [item for item in parameters if item.ndim > 1], "weight_decay": weight_decay},
        {"params": [item for item in parameters if item.ndim <= 1], "weight_decay": 0.0},
    ]


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
