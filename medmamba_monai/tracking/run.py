"""One run in MLflow, with a status that is true."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import remove_leftovers
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.tracking.background_sender import BackgroundSender
from medmamba_monai.tracking.dataset import RunDataset
from medmamba_monai.tracking.journal import Journal
from medmamba_monai.tracking.journal_sender import JournalSender
from medmamba_monai.tracking.mlflow_store import check_tracking_uri, format_experiment_page
from medmamba_monai.tracking.private_values import hide_credentials
from medmamba_monai.tracking.sent_state import read_saved_state
from medmamba_monai.tracking.system_metrics import SystemMetrics

START_SECONDS = 10.0
"""How long the beginning of a run waits for its store."""

END_SECONDS = 30.0
"""How long the end of a run waits for its store, beside what its artifacts need on a slow line."""

_LOOK_SECONDS = 0.2

FAILURE_TAG = "failure"
"""Tag that says why a run failed; ``none`` where it went on and finished."""

logger = logging.getLogger("medmamba_monai.tracking")


class TrackedRun:
    """A run that is written to its folder first and sent to MLflow from there, in a thread of its own.

    Opened again, it goes on as the same MLflow run, unless it starts with ``resume`` False. Without a tracking URI
    nothing is sent, the journal is written all the same, and the run stays on this machine also when it goes on with
    an URI, until `medmamba-monai send` is given one. Describing a run touches neither its folder nor the store: both
    begin with `start`.

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
        self.experiment_name = experiment_name
        self.run_name = run_name
        self.resume = resume
        self.dataset = dataset
        self.parent = os.path.relpath(parent, self.directory) if parent is not None else None
        self.tracking_uri = tracking_uri
        self.journal = Journal(self.directory)
        self._sender = (
            JournalSender(self.directory, check_tracking_uri(tracking_uri), experiment_name) if tracking_uri else None
        )
        self._background = BackgroundSender(self._sender) if self._sender is not None else None
        self._begun = False
        self.system_metrics = SystemMetrics(self.journal)

    @property
    def stays_local(self) -> bool:
        """Whether the run is sent nowhere: no store is named, or there was none when it began."""
        return self._sender is None or self.journal.stays_local

    @property
    def holds_earlier_run(self) -> bool:
        """Whether the folder holds a run that this object has not touched, and is to go on with."""
        return self.resume and not self._begun and self.journal.started

    @property
    def run_id(self) -> str | None:
        """The MLflow run's id; None while the store has not been reached."""
        return None if self._sender is None or self.stays_local else self._sender.run_id

    def find_page(self) -> str | None:
        """Return the address at which MLflow's UI shows the runs of the experiment; None before they are there."""
        if self._sender is None or self.run_id is None:
            return None
        experiment_id = self._sender.state["experiment_id"]
        return format_experiment_page(self.tracking_uri, experiment_id) if experiment_id else None

    def start(self) -> None:
        """Begin the run or go on with it, RUNNING from now on; `send` tells the store.

        A run that this object has begun goes on when it is started again, as in each round of federated learning.
        """
        remove_leftovers(self.directory)
        afresh = not (self.resume or self._begun)
        local = self._sender is None or (self.stays_local and not afresh)
        self._begun = True
        if local and self._sender is not None:
            logger.warning(
                f"{self.directory}: this run began without a tracking store (--tracking_uri '') and stays on this "
                f"machine; to send it: medmamba-monai send {self.directory} --tracking_uri "
                f"{hide_credentials(self.tracking_uri)}"
            )
        elif self._sender is not None:
            self._sender.save_address()
        self.journal.start(self.run_name, self.parent, afresh)
        self.journal.keep_local(local, self.experiment_name)
        if self.dataset is not None:
            self.journal.log_dataset(self.dataset)

    def finish(self, status: str, reason: str = "") -> None:
        """End the run as FINISHED, FAILED or KILLED, also one that failed before it started, and send it.

        Args:
            status: how it ended.
            reason: why it failed, in words that may be read wherever the run is sent.

        Raises:
            UserError: the end of a run that is FINISHED cannot be written; of any other that is only logged, so that it
                does not hide why it ended.
        """
        self.system_metrics.stop()
        try:
            self._record_end(status, reason)
        except UserError as error:
            logger.error(f"the run ended as {status}, which could not be written down: {error}")
            self._tell_end(status)
            if status == "FINISHED":
                raise
            return
        self._send_at_end()

    def send(self, force: bool = True) -> None:
        """Send what is pending; a store that cannot be reached is a warning.

        Args:
            force: wait for it for a while, and try even if the last try failed less than a minute ago.

        Raises:
            UserError: the experiment was deleted, or the folder cannot be written.
        """
        if self._background is not None and not self.stays_local:
            self._background.begin(force)
            if force:
                self._background.wait(START_SECONDS)

    def _record_end(self, status: str, reason: str) -> None:
        if not self.journal.started or not (self.resume or self._begun):
            self.start()
        known = self.journal.get_tag(FAILURE_TAG)
        if reason and reason != known:
            self.journal.set_tags({FAILURE_TAG: reason})
        elif status == "FINISHED" and known not in ("", "none"):
            self.journal.set_tags({FAILURE_TAG: "none"})
        self.journal.set_status(status)

    def _tell_end(self, status: str) -> None:
        """Tell the store alone how the run ended."""
        if self._sender is not None and not self.stays_local:
            thread = threading.Thread(target=self._sender.send_end, args=(status,), daemon=True)
            thread.start()
            thread.join(END_SECONDS)

    def _send_at_end(self) -> None:
        if self._background is None or self.stays_local:
            return
        try:
            if not self._send_all(self._background):
                logger.warning(
                    f"MLflow at {hide_credentials(self.tracking_uri)} takes too long; what it does not have yet is "
                    f"kept in {self.directory}. Send it later: medmamba-monai send {self.directory}"
                )
        except UserError as error:
            logger.warning(f"{self.directory} is not sent: {error}")

    @staticmethod
    def _send_all(background: BackgroundSender) -> bool:
        """Send what is pending, also where something else, such as the training of this run, is sending at first."""
        ends = time.monotonic() + END_SECONDS
        while True:
            background.begin()
            if not background.wait(END_SECONDS):
                return False
            if not background.sender.busy or time.monotonic() > ends:
                return True
            time.sleep(_LOOK_SECONDS)


def reopen_run(directory: Path) -> TrackedRun:
    """Return the run that a folder holds, to log more to it; where its store is not known, for its journal alone."""
    saved = read_saved_state(RunFolder(directory).mlflow_state)
    return TrackedRun(directory, saved.get("tracking_uri", ""), saved.get("experiment", ""), "")


def choose_end_status(error: BaseException | None) -> str:
    """Return the MLflow status of a run that ended with this exception, or with none."""
    if error is None:
        return "FINISHED"
    return "KILLED" if isinstance(error, (KeyboardInterrupt, SystemExit)) else "FAILED"
