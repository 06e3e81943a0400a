"""One training in MLflow: parameters, tags, metrics per epoch, and a status that is true."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events
from monai.engines import Evaluator, SupervisedTrainer, Trainer

from medmamba_monai.training.environment import environment_tags
from medmamba_monai.training.journal import Journal
from medmamba_monai.training.mlflow_store import JournalSender, check_tracking_uri
from medmamba_monai.training.system_metrics import SystemMetrics


class TrackedRun:
    """A run that is written to its folder first and sent to MLflow from there.

    Opened again, it goes on as the same MLflow run, unless it starts with ``resume`` False. Without a tracking URI
    nothing is sent, the journal is written all the same, and `medmamba-monai send` can send it once an URI is known.

    Args:
        directory: the run's folder; artifacts must lie in or below it.
        tracking_uri: ``sqlite:///...`` or the address of a server; empty for none.
        experiment_name: MLflow experiment.
        run_name: name of the run.
        parent: folder of the run that this one belongs to.
        resume: go on as the run that the folder holds; when False, `start` begins another one.
    """

    def __init__(
        self,
        directory: str | Path,
        tracking_uri: str,
        experiment_name: str,
        run_name: str,
        parent: str | Path | None = None,
        resume: bool = True,
    ) -> None:
        self.directory = Path(directory)
        self.run_name = run_name
        self.resume = resume
        self.parent = os.path.relpath(parent, self.directory) if parent is not None else None
        self.tracking_uri = tracking_uri
        self.journal = Journal(self.directory)
        self.sender = (
            JournalSender(self.directory, check_tracking_uri(tracking_uri), experiment_name) if tracking_uri else None
        )
        self.system_metrics = SystemMetrics(self.journal)

    @property
    def run_id(self) -> str | None:
        """The MLflow run's id; None while the store has not been reached."""
        return self.sender.run_id if self.sender else None

    def start(self) -> None:
        """Begin the run or go on with it: RUNNING in MLflow."""
        self.journal.start(self.run_name, self.parent, afresh=not self.resume)
        self.send()

    def finish(self, status: str) -> None:
        """End the run as FINISHED, FAILED or KILLED, also one that failed before it started."""
        self.system_metrics.stop()
        if not self.journal.started:
            self.journal.start(self.run_name, self.parent)
        self.journal.set_status(status)
        self.send()

    def send(self, force: bool = True) -> None:
        """Send what is pending; a store that cannot be reached is a warning."""
        if self.sender is not None:
            self.sender.send(force=force)


def reopened_run(directory: Path) -> TrackedRun:
    """The run that a folder holds, to log more to it; where its store is not known, for its journal alone."""
    path = directory / "mlflow.json"
    saved = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return TrackedRun(directory, saved.get("tracking_uri", ""), saved.get("experiment", ""), "")


def end_status(error: BaseException | None) -> str:
    """The MLflow status of a run that ended with this exception, or with none."""
    if error is None:
        return "FINISHED"
    return "KILLED" if isinstance(error, (KeyboardInterrupt, SystemExit)) else "FAILED"


class TrackTraining:
    """Log a training to a `TrackedRun`: the handler form.

    Logs once: parameters, tags (fold digest, versions, git commit, device). Each epoch: ``train/loss``, the
    evaluator's metrics as ``validation/...``, ``learning_rate``, ``epoch_seconds`` (training alone) and
    ``images_per_second``. Attach it after `ValidationHandler` and before MONAI's `StatsHandler`, whose handling of
    exceptions would keep it from recording that the run failed.

    Args:
        run: where to.
        parameters: plain values, logged as parameters.
        tags: plain values, logged as tags.
        evaluator: the validation engine.
        finish: set the status at the end of the training; False where an evaluation follows.
        artifacts: files logged at the end, where they exist, into the folder ``weights``.
    """

    def __init__(
        self,
        run: TrackedRun,
        parameters: Mapping[str, Any],
        tags: Mapping[str, Any],
        evaluator: Evaluator,
        finish: bool = True,
        artifacts: tuple[str | Path, ...] = (),
    ) -> None:
        self.run = run
        self.parameters = dict(parameters)
        self.tags = dict(tags)
        self.evaluator = evaluator
        self.finish = finish
        self.artifacts = [Path(path) for path in artifacts]
        self.logger = logging.getLogger("medmamba_monai.tracking")
        self._began = 0.0
        self._seconds = 0.0
        self._samples = 0

    def attach(self, engine: Trainer) -> None:
        """Attach to a trainer; in a distributed training only the first process logs."""
        if idist.get_rank() > 0:
            return
        engine.add_event_handler(Events.STARTED, self.started)
        engine.add_event_handler(Events.EPOCH_STARTED, self.epoch_started)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.iteration_completed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch_completed)
        engine.add_event_handler(Events.COMPLETED, self.completed)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.exception_raised)

    def started(self, engine: Trainer) -> None:
        """Begin the run."""
        self.run.journal.start(self.run.run_name, self.run.parent, afresh=not self.run.resume)
        self.run.journal.log_params(self.parameters)
        self.run.journal.set_tags({**environment_tags(engine.state.device), **self.tags})
        self.run.system_metrics.start()
        self.run.send()

    def epoch_started(self, engine: Trainer) -> None:
        """Start the clock."""
        self._began = time.perf_counter()
        self._samples = 0

    def iteration_completed(self, engine: Trainer) -> None:
        """Count samples; the epoch's training time ends with its last iteration, before validation begins."""
        self._samples += len(engine.state.output["label"]) * idist.get_world_size()
        self._seconds = time.perf_counter() - self._began

    def epoch_completed(self, engine: SupervisedTrainer) -> None:
        """Log the epoch."""
        values = {f"train/{name.removeprefix('train_')}": value for name, value in engine.state.metrics.items()}
        if self.evaluator.state.epoch == engine.state.epoch:
            values |= {f"validation/{name.removeprefix('val_')}": v for name, v in self.evaluator.state.metrics.items()}
        values["learning_rate"] = engine.optimizer.param_groups[0]["lr"]
        values["epoch_seconds"] = self._seconds
        values["images_per_second"] = self._samples / self._seconds
        self.run.journal.log_metrics(values, engine.state.epoch)
        self.run.send(force=False)

    def completed(self, engine: Trainer) -> None:
        """Log the weights and end the run."""
        state = self.evaluator.state
        if state.best_metric_epoch > 0:
            best = {"best/epoch": state.best_metric_epoch, f"best/{state.key_metric_name}": state.best_metric}
            self.run.journal.log_summary(best)
        for path in self.artifacts:
            if path.is_file():
                self.run.journal.log_artifact(path, "weights")
        if self.finish:
            self.run.finish("FINISHED")

    def exception_raised(self, engine: Engine, error: BaseException) -> None:
        """Record that the run failed or was killed, then let the exception go on."""
        self.run.finish(end_status(error))
        raise error
