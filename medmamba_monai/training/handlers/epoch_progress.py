"""The progress of a training and the time it still takes, in plain lines that also read well in a log file."""

from __future__ import annotations

import sys
import time

import ignite.distributed as idist
import psutil
from ignite.engine import Events
from monai.engines import Evaluator, Trainer


def format_seconds(seconds: float) -> str:
    """Format a duration for people: ``42 s``, ``3 min 05 s`` or ``2 h 07 min``."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class EpochProgress:
    """Print a line after each epoch, and within long ones, with the time left.

    Args:
        label: what is trained, such as ``fold 2 of 5``.
        evaluator: the validation engine, whose metrics are printed.
        trainings_after: how many trainings of the same length follow, for the time left of all.
        interval: seconds between two lines within an epoch.
        pause_after: epochs after which the training pauses, until which the time left is told; None for its end.
    """

    def __init__(
        self,
        label: str,
        evaluator: Evaluator,
        trainings_after: int = 0,
        interval: float = 20.0,
        pause_after: int | None = None,
    ) -> None:
        self.label = label
        self.evaluator = evaluator
        self.trainings_after = trainings_after
        self.interval = interval
        self.pause_after = pause_after
        self._durations: list[float] = []
        self._epoch_began = 0.0
        self._printed = 0.0
        self._startup: float | None = None
        self._batch_ended = 0.0
        self._counted_from = (0, 0.0)

    def attach(self, engine: Trainer) -> None:
        """Attach to a trainer, after `ValidationHandler`; in a distributed training only the first process prints."""
        if idist.get_rank() > 0:
            return
        engine.add_event_handler(Events.EPOCH_STARTED, self.start_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.report_batch)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.report_epoch)

    def start_epoch(self, engine: Trainer) -> None:
        """Start the clock; before the first epoch, note how long this process took to get there."""
        self._epoch_began = self._printed = self._batch_ended = time.perf_counter()
        self._counted_from = (0, self._epoch_began)
        if self._startup is None:
            self._startup = time.time() - psutil.Process().create_time()

    def report_batch(self, engine: Trainer) -> None:
        """Print a line if the last one is long ago.

        The first batch of a process may compile kernels, so that what is left is estimated from those after it.
        """
        now = self._batch_ended = time.perf_counter()
        state = engine.state
        done = (state.iteration - 1) % state.epoch_length + 1
        if not self._durations and done == 1:
            self._counted_from = (1, now)
        if now - self._printed < self.interval:
            return
        self._printed = now
        batches, began = self._counted_from
        left = (now - began) / max(done - batches, 1) * (state.epoch_length - done)
        end = f", epoch ends in {format_seconds(left)}" if done > batches else ""
        self._print(engine, f"batch {done} of {state.epoch_length}{end}")

    def report_epoch(self, engine: Trainer) -> None:
        """Print the epoch's metrics and the time left."""
        seconds = time.perf_counter() - self._epoch_began
        self._durations.append(self._estimate_duration(seconds, engine.state.epoch_length))
        values = {name.replace("_", " "): value for name, value in engine.state.metrics.items()}
        if self.evaluator.state.epoch == engine.state.epoch:
            values |= {name.replace("_", " "): value for name, value in self.evaluator.state.metrics.items()}
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        self._print(engine, f"{numbers}  [{format_seconds(seconds)}]  {self._format_time_left(engine)}")

    def _estimate_duration(self, seconds: float, batches: int) -> float:
        """Return the seconds of an epoch like this one, but without what its first batch took more than the others."""
        skipped, began = self._counted_from
        if not 0 < skipped < batches:
            return seconds
        usual = (self._batch_ended - began) / (batches - skipped)
        return min(seconds, seconds - (began - self._epoch_began) + usual)

    def _format_time_left(self, engine: Trainer) -> str:
        mean = sum(self._durations) / len(self._durations)
        last = min(engine.state.max_epochs, self.pause_after or engine.state.max_epochs)
        here = mean * (last - engine.state.epoch)
        if not self.trainings_after:
            return f"{format_seconds(here)} left"
        one_training = (self._startup or 0.0) + mean * engine.state.max_epochs
        everything = here + one_training * self.trainings_after
        return f"left: {format_seconds(here)} here, about {format_seconds(everything)} in all"

    def _print(self, engine: Trainer, text: str) -> None:
        print(
            f"{self.label}, epoch {engine.state.epoch}/{engine.state.max_epochs}: {text}", file=sys.stdout, flush=True
        )
