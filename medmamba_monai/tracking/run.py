"""One run in MLflow, with a status that is true."""

from __future__ import annotations

import json
import os
from pathlib import Path

from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.tracking.dataset import RunDataset
from medmamba_monai.tracking.journal import Journal
from medmamba_monai.tracking.journal_sender import JournalSender
from medmamba_monai.tracking.mlflow_store import check_tracking_uri, format_experiment_page
from medmamba_monai.tracking.system_metrics import SystemMetrics


class TrackedRun:
    """A run that is written to its folder first and sent to MLflow from there.

    Opened again, it goes on as the same MLflow run, unless it starts with ``resume`` False. Without a tracking URI
    nothing is sent, the journal is written all the same, and `medmamba-monai send` can send it once an URI is known.
    Describing a run touches neither its folder nor the store: both begin with `start`.

    Args:
        directory: the run's folder; artifacts must lie in or below it.
        tracking_uri: ``sqlite:///...`` or the address of a server; empty for none.
        experiment_name: MLflow experiment.
        run_name: name of the run.
        parent: folder of the run that this one belongs to.
        resume: go on as the run that the folder holds; when False, `start` begins another one.
        dataset: what the run works on, as MLflow shall show it; None to name none.
    """

    def __init__(
        self,
        directory: str | Path,
        tracking_uri: str,
        experiment_name: str,
        run_name: str,
        parent: str | Path | None = None,
        resume: bool = True,
        dataset: RunDataset | None = None,
    ) -> None:
        self.directory = Path(directory)
        self.run_name = run_name
        self.resume = resume
        self.dataset = dataset
        self.parent = os.path.relpath(parent, self.directory) if parent is not None else None
        self.tracking_uri = tracking_uri
        self.journal = Journal(self.directory)
        self.sender = (
            JournalSender(self.directory, check_tracking_uri(tracking_uri), experiment_name) if tracking_uri else None
        )
        self.system_metrics = SystemMetrics(self.journal)
        self._begun = False

    @property
    def run_id(self) -> str | None:
        """The MLflow run's id; None while the store has not been reached."""
        return self.sender.run_id if self.sender else None

    def find_page(self) -> str | None:
        """Return the address at which MLflow's UI shows the runs of the experiment; None before they are there."""
        found = self.sender.find_experiment_id() if self.sender else None
        return format_experiment_page(self.tracking_uri, found) if found else None

    def start(self) -> None:
        """Begin the run or go on with it, RUNNING from now on; `send` tells the store.

        A run that this object has begun goes on when it is started again, as in each round of federated learning.
        """
        self.journal.start(self.run_name, self.parent, afresh=not (self.resume or self._begun))
        self._begun = True
        if self.dataset is not None:
            self.journal.log_dataset(self.dataset)
        if self.sender is not None:
            self.sender.save_address()

    def finish(self, status: str) -> None:
        """End the run as FINISHED, FAILED or KILLED, also one that failed before it started, and send it."""
        self.system_metrics.stop()
        if not self.journal.started:
            self.start()
        self.journal.set_status(status)
        self.send()

    def send(self, force: bool = True) -> None:
        """Send what is pending; a store that cannot be reached is a warning."""
        if self.sender is not None:
            self.sender.send(force=force)


def reopen_run(directory: Path) -> TrackedRun:
    """Return the run that a folder holds, to log more to it; where its store is not known, for its journal alone."""
    path = RunFolder(directory).mlflow_state
    saved = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return TrackedRun(directory, saved.get("tracking_uri", ""), saved.get("experiment", ""), "")


def choose_end_status(error: BaseException | None) -> str:
    """Return the MLflow status of a run that ended with this exception, or with none."""
    if error is None:
        return "FINISHED"
    return "KILLED" if isinstance(error, (KeyboardInterrupt, SystemExit)) else "FAILED"
