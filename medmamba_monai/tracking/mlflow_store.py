"""From a run's journal to an MLflow server or SQLite store: bounded in time, repeatable, never lossy."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from medmamba_monai.core.errors import UserError, get_first_line
from medmamba_monai.core.files import write_json
from medmamba_monai.tracking.journal import split_complete
from medmamba_monai.tracking.private_values import without_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT_TAG = "mlflow.parentRunId"
"""The tag by which MLflow knows the parent of a run."""

_BATCH_METRICS = 900
_MODEL_TRAINING = {"mlflow.experimentKind": "custom_model_development"}  # the UI's view for it, not the one for agents
_PERMANENT = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")
logger = logging.getLogger("medmamba_monai.tracking")


def connect(tracking_uri: str) -> MlflowClient:
    """A client whose calls to a server that is away end within seconds, not minutes.

    A SQLite store's tables are made here, by one process at a time: several that open a fresh store at once
    would corrupt it.
    """
    if tracking_uri.startswith("http"):
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient

    logging.getLogger("mlflow.store.db").setLevel(logging.WARNING)
    database = sqlite_path(tracking_uri)
    if database is None:
        return MlflowClient(tracking_uri=tracking_uri)
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock"):
        return MlflowClient(tracking_uri=tracking_uri)


def sqlite_path(tracking_uri: str) -> Path | None:
    """The database file of a ``sqlite:///`` URI, absolute; None for any other store."""
    prefix = "sqlite:///"
    return Path(tracking_uri[len(prefix) :]).absolute() if tracking_uri.startswith(prefix) else None


def check_tracking_uri(tracking_uri: str) -> str:
    """Return the URI with a SQLite path made absolute.

    Raises:
        UserError: it is neither SQLite nor a server; MLflow's file stores are not offered because MLflow retires them.
    """
    database = sqlite_path(tracking_uri)
    if database is not None:
        return f"sqlite:///{database}"
    if tracking_uri.startswith(("http://", "https://", "databricks", "postgresql", "mysql", "mssql")):
        return tracking_uri
    raise UserError(
        f"--tracking_uri {tracking_uri!r} is not a tracking store; use sqlite:///mlruns.db or http://host:port"
    )


def experiment_id(client: MlflowClient, tracking_uri: str, name: str) -> str:
    """The experiment's id; it is made where there is none, with artifacts beside a SQLite database."""
    from mlflow.exceptions import MlflowException

    found: Any = client.get_experiment_by_name(name)
    if found is None:
        database = sqlite_path(tracking_uri)
        location = (database.parent / "mlartifacts" / name).as_uri() if database else None
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=_MODEL_TRAINING))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
            return str(found.experiment_id)
    if found.lifecycle_stage == "deleted":
        store = without_credentials(tracking_uri)
        raise UserError(f"experiment {name!r} was deleted in {store}: restore it, or pass --experiment_name")
    return str(found.experiment_id)


class JournalSender:
    """Send what a run's journal holds and MLflow does not have yet.

    How far it came is kept in ``mlflow.json`` beside the journal, with the run's id. A line may be sent twice after a
    crash, which changes nothing in MLflow.

    Args:
        directory: the run's folder.
        tracking_uri: where to; None takes what ``mlflow.json`` says.
        experiment: name of the experiment; None likewise.
    """

    def __init__(self, directory: str | Path, tracking_uri: str | None = None, experiment: str | None = None) -> None:
        self.directory = Path(directory)
        self.state_path = self.directory / "mlflow.json"
        saved = json.loads(self.state_path.read_text()) if self.state_path.is_file() else {}
        uri = tracking_uri or saved.get("tracking_uri")
        if uri is None:
            raise UserError(f"{self.directory} holds no tracked run (no mlflow.json)")
        same = saved.get("tracking_uri") == uri and saved.get("experiment") == (experiment or saved.get("experiment"))
        self.state: dict[str, Any] = {
            "tracking_uri": uri,
            "experiment": experiment or saved["experiment"],
            "run_id": saved.get("run_id") if same else None,
            "sent_bytes": saved.get("sent_bytes", 0) if same else 0,
        }
        self._client: MlflowClient | None = None
        self._retry_at = 0.0
        self._save()

    @property
    def run_id(self) -> str | None:
        """Id of the MLflow run; None before the store has been reached."""
        run_id: str | None = self.state["run_id"]
        return run_id

    def pending(self) -> int:
        """Number of journal lines that MLflow does not have yet."""
        return len(split_complete(self.directory / "tracking.jsonl", self.state["sent_bytes"]))

    def send(self, force: bool = True) -> bool:
        """Send everything that is pending.

        Args:
            force: try even if the last try failed less than a minute ago.

        Returns:
            Whether nothing is pending any more. A store that cannot be reached is logged as a warning, not raised.
        """
        import requests
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        if not force and time.monotonic() < self._retry_at:
            return False
        try:
            self._client = self._client or connect(self.state["tracking_uri"])
            return self._send_lines(self._client)
        except (MlflowException, requests.RequestException, SQLAlchemyError, OSError) as error:
            self._retry_at = time.monotonic() + 60
            logger.warning(
                f"MLflow at {without_credentials(self.state['tracking_uri'])} did not take {self.pending()} entries "
                f"({get_first_line(error)[:200]}). Training goes on; they are kept in {self.directory}. "
                f"Send them later: medmamba-monai send {self.directory}"
            )
            return False

    def _send_lines(self, client: MlflowClient) -> bool:
        for raw in split_complete(self.directory / "tracking.jsonl", self.state["sent_bytes"]):
            line = json.loads(raw)
            if line["op"] == "start":
                if not self._create_run(client, line):
                    return False
            else:
                self._send_line(client, line)
            self.state["sent_bytes"] += len(raw)
            self._save()
        return True

    def _create_run(self, client: MlflowClient, line: dict[str, Any]) -> bool:
        tags = {}
        if line["parent"] is not None:
            parent_state = self.directory / line["parent"] / "mlflow.json"
            parent_id = json.loads(parent_state.read_text())["run_id"] if parent_state.is_file() else None
            if parent_id is None:
                return False
            tags[PARENT_TAG] = parent_id
        experiment = experiment_id(client, self.state["tracking_uri"], self.state["experiment"])
        run = client.create_run(experiment, start_time=line["time"], tags=tags, run_name=line["name"])
        self.state["run_id"] = run.info.run_id
        return True

    def _send_line(self, client: MlflowClient, line: dict[str, Any]) -> None:
        from mlflow.exceptions import MlflowException

        try:
            _OPERATIONS[line["op"]](self, client, line)
        except MlflowException as error:
            if error.error_code not in _PERMANENT:
                raise
            logger.error(f"MLflow refuses an entry for good; it stays in {self.directory}: {line} ({error})")

    def _params(self, client: MlflowClient, line: dict[str, Any]) -> None:
        from mlflow.entities import Param

        client.log_batch(self.state["run_id"], params=[Param(key, value) for key, value in line["values"].items()])

    def _tags(self, client: MlflowClient, line: dict[str, Any]) -> None:
        from mlflow.entities import RunTag

        client.log_batch(self.state["run_id"], tags=[RunTag(key, value) for key, value in line["values"].items()])

    def _metrics(self, client: MlflowClient, line: dict[str, Any]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(key, value, line["time"], line["step"]) for key, value in line["values"].items()]
        for start in range(0, len(metrics), _BATCH_METRICS):
            client.log_batch(self.state["run_id"], metrics=metrics[start : start + _BATCH_METRICS])

    def _artifact(self, client: MlflowClient, line: dict[str, Any]) -> None:
        path = self.directory / line["path"]
        if not path.is_file():
            logger.error(f"{path} was logged as an artifact but is gone; it is skipped")
            return
        client.log_artifact(self.state["run_id"], str(path), line["folder"] or None)

    def _status(self, client: MlflowClient, line: dict[str, Any]) -> None:
        if line["status"] == "RUNNING":
            client.update_run(self.state["run_id"], status="RUNNING")
        else:
            client.set_terminated(self.state["run_id"], line["status"], end_time=line["time"])

    def _save(self) -> None:
        write_json(self.state_path, self.state)


_OPERATIONS = {
    "params": JournalSender._params,
    "tags": JournalSender._tags,
    "metrics": JournalSender._metrics,
    "artifact": JournalSender._artifact,
    "status": JournalSender._status,
}


def send_pending(directory: str | Path) -> int:
    """Send what every run in and below a folder still holds, parents first.

    Args:
        directory: folder of one run or of a cross-validation.

    Returns:
        Number of entries that are still pending.

    Raises:
        UserError: there is no tracked run.
    """
    root = Path(directory)
    folders = sorted(path.parent for path in root.glob("**/mlflow.json"))
    if not folders:
        raise UserError(f"{root} holds no tracked run (no mlflow.json in it)")
    senders = [JournalSender(folder) for folder in folders]
    for sender in senders:
        before = sender.pending()
        if sender.send():
            logger.info(f"{sender.directory}: {before} entries sent")
    return sum(sender.pending() for sender in senders)
