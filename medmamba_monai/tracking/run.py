"""One training in MLflow: parameters, tags, metrics per epoch, and a status that is true."""

from __future__ import annotations

import json
import os
from pathlib import Path

from medmamba_monai.tracking.journal import Journal
from medmamba_monai.tracking.mlflow_store import JournalSender, check_tracking_uri
from medmamba_monai.tracking.system_metrics import SystemMetrics


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
