"""Average of a network's weights over the last part of its training."""

from __future__ import annotations

from ignite.engine import Engine, Events
from ignite.handlers import EMAHandler
from torch import nn

MOMENTUM = "ema_momentum"


class WeightAverage(EMAHandler):
    """Ignite's exponential moving average with a momentum that falls as the training goes on.

    The t-th iteration enters with (eta + 1) / (eta + t), the polynomial-decay averaging of Shamir and Zhang (ICML
    2013, section 4). The average then reaches over the last tenth of all iterations so far (with ``eta`` 9), be they
    60 or 60,000, where a fixed momentum would ruin short trainings with initial weights, or hardly average long ones.
    What BatchNorm has counted is averaged too. The momentum follows from the iteration alone, so that to go on
    exactly needs nothing but ``ema_model`` (the averaged network) and the trainer's state.

    Args:
        model: the network that is trained, wrapped for distributed training or not.
        eta: how fast old weights are forgotten, from 0, which is the plain mean of all.
    """

    def __init__(self, model: nn.Module, eta: float = 9.0) -> None:
        super().__init__(model, handle_buffers="update")
        self.eta = eta

    def attach(self, engine: Engine) -> None:  # type: ignore[override]
        """Attach to a trainer, before what validates or saves ``ema_model``."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._set_momentum)
        super().attach(engine, name=MOMENTUM)

    def _set_momentum(self, engine: Engine) -> None:
        setattr(engine.state, MOMENTUM, (self.eta + 1) / (self.eta + engine.state.iteration))
