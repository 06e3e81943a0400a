"""The way from a run's journal to an MLflow store: repeatable, never lossy, and all that talks to a store."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.tracking.creation import create_run_once, delete_doubles
from medmamba_monai.tracking.entries import join_metrics, send_together
from medmamba_monai.tracking.journal_file import RawLine, scan_lines, split_runs
from medmamba_monai.tracking.mlflow_store import (
    PARENT_TAG,
    connect,
    find_or_create_experiment,
    list_store_errors,
    parse_sqlite_path,
)
from medmamba_monai.tracking.private_values import hide_credentials
from medmamba_monai.tracking.sent_state import read_saved_state, read_state
from medmamba_monai.tracking.store_problems import (
    ForeignServerError,
    RunGoneError,
    StoreProblem,
    UnreachableStoreError,
    ask,
    describe_store_error,
    find_run,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

RETRY_SECONDS = 60.0
"""How long a store that could not take anything is left alone, where nobody insists."""

STEP_SECONDS = 15.0
"""How long one call of a store may take before it counts as stuck."""

BYTES_PER_SECOND = 100_000
"""What an artifact may need on its way, beside that."""

_ACKNOWLEDGE_EVERY = 100
logger = logging.getLogger("medmamba_monai.tracking")


class JournalSender:
    """Send what a run's journal holds and MLflow does not have yet.

    How far it came is kept in ``mlflow.json`` beside the journal, with the run's id. Entries count as sent once the
    store, asked again, still holds the run that they are of. A line may be sent twice after a crash, which changes
    nothing in MLflow. The file is read when it is first needed, and written by `save_address`, `begin_anew` and `send`
    alone: a run that is only described leaves its folder as it was.

    Args:
        directory: the run's folder.
        tracking_uri: where to; None takes what ``mlflow.json`` says. Another store than before gets everything.
        experiment: name of the experiment; None likewise.

    Attributes:
        problem: why the last try did not send everything; None where it did, or there was none.
        busy: whether something else was sending at the last try, which left it at that.
        step_ends: when, on the monotonic clock, the call that runs now counts as stuck.
        artifact_seconds: what artifacts may have needed until now, beside the calls themselves.
    """

    def __init__(self, directory: str | Path, tracking_uri: str | None = None, experiment: str | None = None) -> None:
        self.directory = Path(directory)
        self.folder = RunFolder(directory)
        self.tracking_uri = tracking_uri
        self.experiment = experiment
        self.problem: StoreProblem | None = None
        self.busy = False
        self.step_ends = 0.0
        self.artifact_seconds = 0.0
        self._state: dict[str, Any] | None = None
        self._client: MlflowClient | None = None
        self._retry_at = 0.0

    @property
    def state(self) -> dict[str, Any]:
        """The content of ``mlflow.json``, as it is or as it will be once something is sent.

        Raises:
            UserError: the folder holds no run whose store is known, or the file is damaged.
        """
        if self._state is None:
            self._state = self._read()
        return self._state

    @property
    def run_id(self) -> str | None:
        """The id of the MLflow run; None before the store has been reached."""
        run_id: str | None = self.state["run_id"]
        return run_id

    def _read(self) -> dict[str, Any]:
        return read_state(self.folder, self.tracking_uri, self.experiment)

    def count_pending(self) -> int:
        """Return the number of journal lines that MLflow does not have yet."""
        return sum(1 for _ in scan_lines(self.folder.journal, self.state["sent_bytes"]))

    def save_address(self) -> None:
        """Write down where the run is to be sent, so that it can be sent later even if no store was ever reached."""
        write_json(self.folder.mlflow_state, self.state)

    def begin_anew(self) -> None:
        """Let `send` make a new run of what the journal says since the run began last."""
        starts = [0]
        end = 0
        for line in scan_lines(self.folder.journal):
            if line.content is not None and line.content["op"] == "start":
                starts.append(end)
            end = line.end
        self.state.update(run_id=None, experiment_id=None, creating=None, creation=None)
        self.state.update(sent_bytes=starts[-1], skipped=0)
        self.save_address()

    def send(self, force: bool = True, check: bool = False) -> bool:
        """Send everything that is pending; only one process or thread at a time does.

        Args:
            force: try even if the last try failed less than a minute ago.
            check: ask the store for the run even if nothing is pending.

        Returns:
            Whether nothing is pending any more. What keeps the store from taking it is logged as a warning and left in
            `problem`, not raised.

        Raises:
            UserError: the experiment was deleted, or ``mlflow.json`` cannot be read or written.
        """
        if not force and time.monotonic() < self._retry_at:
            return False
        self.busy = False
        try:
            with FileLock(self.folder.sending_lock).acquire(timeout=0):
                self._state = self._read()  # another process may have sent something meanwhile
                self.save_address()
                done = self._try_to_send(check)
            self.problem = None
            return done
        except Timeout:
            self.busy = True
            logger.info(f"{self.directory} is being sent by another process")
            return False
        except StoreProblem as problem:
            self._put_off(problem)
        except OSError as error:
            self._put_off(UnreachableStoreError(f"{self.folder.sending_lock}: {error.strerror or error}"))
        return False

    def send_end(self, status: str) -> None:
        """Tell the store alone how the run ended, where its journal cannot be written."""
        if self.run_id is None:
            return
        problems: tuple[type[Exception], ...] = (StoreProblem, *list_store_errors())
        try:
            client = self._client or self._connect()
            ask(client.set_terminated, self.run_id, status)
        except problems as error:
            logger.warning(f"MLflow could not be told that the run is {status}: {describe_store_error(error)}")

    def _try_to_send(self, check: bool) -> bool:
        """Send; raise a `StoreProblem` for all that a store can do wrong."""
        try:
            if self._client is None:
                self._client = self._connect()
            if check and self.run_id is not None:
                find_run(self._client, self.run_id)
            return self._send_segments(self._client)
        except list_store_errors() as error:
            raise UnreachableStoreError(describe_store_error(error)) from error

    def _put_off(self, problem: StoreProblem) -> None:
        self._retry_at = time.monotonic() + RETRY_SECONDS
        self.problem = problem
        advice = problem.advice.format(command=f"medmamba-monai send {self.directory}")
        logger.warning(
            f"MLflow at {hide_credentials(self.state['tracking_uri'])} did not take {self.count_pending()} entries: "
            f"{hide_credentials(str(problem))}. They are kept in {self.directory}. {advice}"
        )

    def _connect(self) -> MlflowClient:
        uri = self.state["tracking_uri"]
        database = parse_sqlite_path(uri)
        if database is not None and self.run_id is not None and not database.is_file():
            raise RunGoneError(f"the file {database} is not there any more")
        self.step_ends = time.monotonic() + 2 * STEP_SECONDS  # the tables of a new store take long
        return connect(uri)

    def _send_segments(self, client: MlflowClient) -> bool:
        """Send the journal run by run: one that was begun afresh does not wait for one that is gone."""
        self._adopt(client)
        segments = list(split_runs(scan_lines(self.folder.journal, self.state["sent_bytes"])))
        for number, lines in enumerate(segments):
            try:
                if not self._send_segment(client, lines):
                    return False
            except RunGoneError as problem:
                if number == len(segments) - 1:
                    raise
                logger.warning(f"{self.directory}: {problem}; another run was begun since, which is sent alone")
                self._acknowledge(lines[-1].end, skipped=len(lines))
        return True

    def _send_segment(self, client: MlflowClient, lines: Sequence[RawLine]) -> bool:
        skipped = pending = 0
        for group in join_metrics(lines, _ACKNOWLEDGE_EVERY):
            line = group[0]
            self._expect_step(line)
            pending += len(group)
            if line.content is None:
                skipped += 1
            elif self._stays_here(line.content):
                pass
            elif line.content["op"] == "start":
                if not self._create_run(client, line):
                    return False
                continue
            else:
                run_id = self.run_id or self._create_lost_run(client)
                if line is lines[0]:
                    find_run(client, run_id)
                if line.content["op"] == "status" and line.content["status"] != "RUNNING":
                    delete_doubles(client, self.state)
                skipped += send_together(client, run_id, self.directory, [one.content or {} for one in group])
            if pending >= _ACKNOWLEDGE_EVERY or group[-1] is lines[-1]:
                if self.run_id is not None:
                    self.state["experiment_id"] = str(find_run(client, self.run_id).info.experiment_id)
                self._acknowledge(group[-1].end, skipped)
                skipped = pending = 0
        return True

    def _stays_here(self, entry: Mapping[str, Any]) -> bool:
        """Return whether an entry is for this machine: where to send, or images that a server is not to have."""
        if entry["op"] == "store":
            return True
        if not entry.get("stays_here") or parse_sqlite_path(self.state["tracking_uri"]) is not None:
            return False
        logger.info(
            f"{self.directory / entry['path']} shows images, which were left on this machine; "
            f"medmamba-monai review {self.directory} makes a report without them"
        )
        return True

    def _expect_step(self, line: RawLine) -> None:
        seconds = 0.0
        if line.content is not None and line.content["op"] == "artifact":
            path = self.directory / line.content["path"]
            seconds = path.stat().st_size / BYTES_PER_SECOND if path.is_file() else 0.0
        self.artifact_seconds += seconds
        self.step_ends = time.monotonic() + STEP_SECONDS + seconds

    def _acknowledge(self, end: int, skipped: int) -> None:
        self.state.update(sent_bytes=end, skipped=self.state["skipped"] + skipped)
        self.save_address()

    def _create_run(self, client: MlflowClient, line: RawLine) -> bool:
        """Create the run of a start line; returns whether its parent, where it has one, is known already."""
        start: dict[str, Any] = line.content or {}
        parent_id = self._find_parent_id(start["parent"])
        if start["parent"] is not None and parent_id is None:
            return False
        name, began = start["name"], start["time"]
        self._create(client, name, start["parent"], parent_id, began, line.end)
        return True

    def _create_lost_run(self, client: MlflowClient) -> str:
        """Create the run of entries whose start line is damaged."""
        logger.warning(f"{self.directory}: its journal does not say how the run began; it is named after the folder")
        return self._create(client, self.directory.name, None, None, None, self.state["sent_bytes"])

    def _create(
        self,
        client: MlflowClient,
        name: str,
        parent: str | None,
        parent_id: str | None,
        began: int | None,
        sent_bytes: int,
    ) -> str:
        tags = {PARENT_TAG: parent_id} if parent_id is not None else {}
        experiment = ask(find_or_create_experiment, client, self.state["tracking_uri"], self.state["experiment"])
        run_id = create_run_once(
            client, experiment, self.state, self.save_address, tags, start_time=began, run_name=name
        )
        if not run_id:
            raise ForeignServerError("it made no run")
        found = find_run(client, run_id)
        self.state.update(
            run_id=run_id,
            experiment_id=str(found.info.experiment_id),
            parent=parent,
            parent_id=parent_id,
            sent_bytes=sent_bytes,
        )
        self.save_address()
        return run_id

    def _find_parent_id(self, parent: str | None) -> str | None:
        if parent is None:
            return None
        found: str | None = read_saved_state(RunFolder(self.directory / parent).mlflow_state).get("run_id")
        return found

    def _adopt(self, client: MlflowClient) -> None:
        """Tell the run who its parent is now, where that became a new run."""
        parent_id = self._find_parent_id(self.state["parent"])
        if self.run_id is None or parent_id is None or parent_id == self.state["parent_id"]:
            return
        with contextlib.suppress(RunGoneError):  # said where something is to be sent to it
            find_run(client, self.run_id)
            ask(client.set_tag, self.run_id, PARENT_TAG, parent_id)
            self.state["parent_id"] = parent_id
            self.save_address()
