"""The log of a training: parameters, tags, and metrics of each epoch."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events
from monai.engines import Evaluator, SupervisedTrainer, Trainer

from medmamba_monai.core.folder_lock import lock_folder
from medmamba_monai.core.signals import STOP_SIGNALS, catch_signals
from medmamba_monai.tracking.environment import describe_environment
from medmamba_monai.tracking.failures import describe_failure
from medmamba_monai.tracking.run import TrackedRun, choose_end_status
from medmamba_monai.training.handlers.pause_training import PauseTraining
from medmamba_monai.training.handlers.resumable_checkpoint import ResumableCheckpoint


class TrackTraining:
    """Log a training to a `TrackedRun`: the handler form.

    Logs once: parameters, tags (fold digest, versions, git commit, device). Each epoch: ``train/loss``, the
    evaluator's metrics as ``validation/...``, ``learning_rate``, ``epoch_seconds`` (training alone) and
    ``images_per_second``. Attach it after `ValidationHandler` and before MONAI's `StatsHandler`, whose handling of
    exceptions would keep it from recording that the run failed.

    A training that may not go on, since its checkpoint is of other settings or another process works in the folder,
    leaves the run there as it was. While it runs, a request to end and a closed terminal stop it like Ctrl-C, so that
    no run stays RUNNING.

    Args:
        run: where to.
        parameters: plain values, logged as parameters.
        tags: plain values, logged as tags.
        evaluator: the validation engine.
        finish: set the status at the end of the training; False where an evaluation follows.
        artifacts: files logged at the end, where they exist, into the folder ``weights``.
        checkpoint: what must agree with the settings before anything is logged; None for a training without.
        pause: a run that reaches it has not finished; None for a training without.
    """

    def __init__(
        self,
        run: TrackedRun,
        parameters: Mapping[str, Any],
        tags: Mapping[str, Any],
        evaluator: Evaluator,
        finish: bool = True,
        artifacts: tuple[str | Path, ...] = (),
        checkpoint: ResumableCheckpoint | None = None,
        pause: PauseTraining | None = None,
    ) -> None:
        self.run = run
        self.parameters = dict(parameters)
        self.tags = dict(tags)
        self.evaluator = evaluator
        self.finish = finish
        self.artifacts = [Path(path) for path in artifacts]
        self.checkpoint = checkpoint
        self.pause = pause
        self.logger = logging.getLogger("medmamba_monai.tracking")
        self._began = 0.0
        self._seconds = 0.0
        self._samples = 0
        self._held = contextlib.ExitStack()
        self._refused = False

    def attach(self, engine: Trainer) -> None:
        """Attach to a trainer; in a distributed training only the first process logs."""
        if idist.get_rank() > 0:
            return
        engine.add_event_handler(Events.STARTED, self.start_run)
        engine.add_event_handler(Events.EPOCH_STARTED, self.start_clock)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.count_samples)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.log_epoch)
        engine.add_event_handler(Events.COMPLETED, self.finish_run)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.record_exception)

    def start_run(self, engine: Trainer) -> None:
        """Begin the run."""
        self._refused = True
        self._held.enter_context(lock_folder(self.run.directory, "training"))
        if self.checkpoint is not None:
            self.checkpoint.check()
        self._refused = False
        self._held.enter_context(catch_signals(STOP_SIGNALS[1:], _stop, only_default=True))
        self.run.start()
        self.run.journal.log_params(self.parameters)
        self.run.journal.set_tags({**describe_environment(engine.state.device), **self.tags})
        self.run.system_metrics.start()
        self.run.send()

    def start_clock(self, engine: Trainer) -> None:
        """Start the clock."""
        self._began = time.perf_counter()
        self._samples = 0

    def count_samples(self, engine: Trainer) -> None:
        """Count samples; the epoch's training time ends with its last iteration, before validation begins."""
        self._samples += len(engine.state.output["label"]) * idist.get_world_size()
        self._seconds = time.perf_counter() - self._began

    def log_epoch(self, engine: SupervisedTrainer) -> None:
        """Log the epoch."""
        values = {f"train/{name.removeprefix('train_')}": value for name, value in engine.state.metrics.items()}
        if self.evaluator.state.epoch == engine.state.epoch:
            values |= {f"validation/{name.removeprefix('val_')}": v for name, v in self.evaluator.state.metrics.items()}
        values["learning_rate"] = engine.optimizer.param_groups[0]["lr"]
        values["epoch_seconds"] = self._seconds
        values["images_per_second"] = self._samples / self._seconds
        self.run.journal.log_metrics(values, engine.state.epoch)
        self.run.send(force=False)

    def finish_run(self, engine: Trainer) -> None:
        """Log the weights and end the run, once all is written; one that pauses has no last weights yet."""
        if self.checkpoint is not None:
            self.checkpoint.wait()
        if self.pause is not None and self.pause.is_reached(engine):
            self.run.send()  # what ends the run finds nothing else sending
            if self.finish:
                self.run.finish("KILLED", f"paused after epoch {engine.state.epoch} of {engine.state.max_epochs}")
            self._held.close()
            return
        state = self.evaluator.state
        if state.best_metric_epoch > 0:
            best = {"best/epoch": state.best_metric_epoch, f"best/{state.key_metric_name}": state.best_metric}
            self.run.journal.log_summary(best)
        for path in self.artifacts:
            if path.is_file():
                self.run.journal.log_artifact(path, "weights")
        if self.finish:
            self.run.finish("FINISHED")
        self._held.close()

    def record_exception(self, engine: Engine, error: BaseException) -> None:
        """Record that the run failed or was killed, then let the exception go on."""
        try:
            if self.checkpoint is not None:
                self.checkpoint.settle()
            if not (self._refused or self.run.holds_earlier_run):
                self.run.finish(choose_end_status(error), describe_failure(error))
        finally:
            self._held.close()
        raise error


def _stop(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
