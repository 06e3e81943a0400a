"""Delivery of what runs could not send while they ran."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.tracking.journal import Journal
from medmamba_monai.tracking.journal_sender import JournalSender
from medmamba_monai.tracking.mlflow_store import check_tracking_uri
from medmamba_monai.tracking.sent_state import read_saved_state
from medmamba_monai.tracking.store_problems import RunGoneError

logger = logging.getLogger("medmamba_monai.tracking")


@dataclass(frozen=True)
class Delivery:
    """What became of the runs in a folder.

    Attributes:
        pending: entries that MLflow does not have yet.
        skipped: entries that it can never have, as it refuses them or their file is gone; the log names them.
        missing: runs whose entries were sent once, but which the store does not hold any more or cannot be asked for.
    """

    pending: int
    skipped: int
    missing: int

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return not self.pending and not self.missing

    def __str__(self) -> str:
        """Say it in a line for the terminal."""
        if self.complete:
            lost = f" but {self.skipped} that it cannot have; the log named {'it' if self.skipped == 1 else 'them'}"
            return f"everything is in MLflow{lost if self.skipped else ''}"
        if not self.pending:
            return f"{self.missing} runs are not in MLflow any more, or cannot be asked for"
        return f"{self.pending} entries are still pending"


def send_pending(directory: str | Path, new_run: bool = False, tracking_uri: str = "") -> int:
    """Send what every run in and below a folder still holds; see `deliver`.

    Returns:
        Number of entries that are still pending.
    """
    return deliver(directory, new_run, tracking_uri).pending


def deliver(directory: str | Path, new_run: bool = False, tracking_uri: str = "") -> Delivery:
    """Send what every run in and below a folder still holds, parents first, and ask the store for each run.

    Args:
        directory: folder of one run or of a cross-validation.
        new_run: make new runs of those that the store does not hold any more; the others go on.
        tracking_uri: another store, or the first one of runs that began without; empty for that of each run.

    Raises:
        UserError: there is no tracked run, or it was begun to stay on this machine and no store is named.
    """
    root = Path(directory)
    uri = check_tracking_uri(tracking_uri) if tracking_uri else ""
    senders = [_open(folder, uri) for folder in _find_folders(root, uri)]
    for sender in senders:
        before = sender.count_pending()
        done = sender.send(check=True)
        if not done and new_run and isinstance(sender.problem, RunGoneError):
            sender.begin_anew()
            before = sender.count_pending()
            done = sender.send()
        if done:
            logger.info(f"{sender.directory}: {before} entries sent")
    return Delivery(
        pending=sum(sender.count_pending() for sender in senders),
        skipped=sum(sender.state["skipped"] for sender in senders),
        missing=sum(sender.problem is not None for sender in senders),
    )


def _find_folders(root: Path, tracking_uri: str) -> list[Path]:
    """Return the folders of the runs that are to be sent, parents first.

    Raises:
        UserError: there is none.
    """
    names = RunFolder(root)
    known = {path.parent for path in root.glob(f"**/{names.mlflow_state.name}")}
    folders = {path.parent for path in root.glob(f"**/{names.journal.name}")} | known
    local = {folder for folder in folders if folder not in known or Journal(folder).stays_local}
    if not folders:
        raise UserError(f"{root} holds no tracked run (no {names.mlflow_state.name} in it)")
    if local == folders and not tracking_uri:
        raise UserError(
            f"{root} holds no tracked run that may be sent: it began with --tracking_uri '', to stay on this machine; "
            "name a store with --tracking_uri to send it"
        )
    return sorted(folders if tracking_uri else folders - local)


def _open(folder: Path, tracking_uri: str) -> JournalSender:
    if not tracking_uri:
        return JournalSender(folder)
    journal = Journal(folder)
    experiment = read_saved_state(RunFolder(folder).mlflow_state).get("experiment") or journal.experiment
    if not experiment:
        raise UserError(f"{folder} does not say of which experiment it is: start its training again with a store")
    journal.keep_local(False)
    return JournalSender(folder, tracking_uri, experiment)
