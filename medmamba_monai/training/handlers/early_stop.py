"""Early stopping, MONAI's own, wired from JSON and resumable."""

from __future__ import annotations

import logging
from typing import Any

from ignite.engine import Events
from ignite.handlers import EarlyStopping
from monai.engines import Evaluator, Trainer
from monai.handlers import EarlyStopHandler, stopping_fn_from_metric


class EarlyStop:
    """Stop the trainer when a validation metric has not improved for ``patience`` validations.

    MONAI's `EarlyStopHandler` needs the trainer while it belongs to the evaluator, which a JSON config cannot say
    without a circle, and it has no state to save. This one belongs to the trainer's handlers.

    Args:
        patience: validations without improvement before the training stops; 0 never stops.
        metric: name of the metric in the evaluator's ``state.metrics``.
        evaluator: the engine that computes it.
        min_delta: a change up to this counts as no improvement.
        lower_is_better: whether the metric is a loss.
    """

    def __init__(
        self,
        patience: int,
        metric: str,
        evaluator: Evaluator,
        min_delta: float = 0.0,
        lower_is_better: bool = False,
    ) -> None:
        self.patience = patience
        self.metric = metric
        self.logger = logging.getLogger("medmamba_monai.training")
        self.evaluator = evaluator
        score = stopping_fn_from_metric(metric)
        self.handler = EarlyStopHandler(
            patience=max(patience, 1),
            score_function=(lambda engine: -score(engine)) if lower_is_better else score,
            min_delta=min_delta,
        )

    def attach(self, engine: Trainer) -> None:
        """Attach to the trainer."""
        self.handler.set_trainer(engine)
        if self.patience > 0:
            self.handler.attach(self.evaluator)
            engine.add_event_handler(Events.COMPLETED, self.explain)

    def explain(self, engine: Trainer) -> None:
        """Say why the training ended before its last epoch."""
        if self.exhausted:
            best = self.evaluator.state.best_metric_epoch
            self.logger.info(
                f"stopped: {self.metric} has not improved for {self.patience} validations since epoch {best}"
            )

    @property
    def exhausted(self) -> bool:
        """Whether the patience is spent."""
        return self.patience > 0 and self.state_dict()["counter"] >= self.patience

    def renew(self) -> None:
        """Begin to count anew, as with other weights."""
        self.load_state_dict({**self.state_dict(), "counter": 0, "best_score": None})

    def state_dict(self) -> dict[str, Any]:
        """Return counter and best score."""
        return dict(self._ignite_handler.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved counter and best score."""
        self._ignite_handler.load_state_dict(state)

    @property
    def _ignite_handler(self) -> EarlyStopping:
        handler: Any = self.handler._handler
        if handler is None:
            raise RuntimeError("attach EarlyStop to the trainer first")
        return handler
