"""The way from a run's journal to an MLflow store: bounded in time, repeatable, never lossy."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medmamba_monai.core.errors import UserError, get_first_line
from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.tracking.journal import split_complete
from medmamba_monai.tracking.mlflow_store import PARENT_TAG, connect, find_or_create_experiment, list_store_errors
from medmamba_monai.tracking.private_values import hide_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient

_BATCH_METRICS = 900
_DIGEST_LENGTH = 12
"""Characters of a dataset's digest that MLflow is given for its table; it takes 36 at most."""

_PERMANENT = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")
logger = logging.getLogger("medmamba_monai.tracking")


class JournalSender:
    """Send what a run's journal holds and MLflow does not have yet.

    How far it came is kept in ``mlflow.json`` beside the journal, with the run's id. A line may be sent twice after a
    crash, which changes nothing in MLflow. The file is read when it is first needed, and written by `save_address` and
    `send` alone: a run that is only described leaves its folder as it was.

    Args:
        directory: the run's folder.
        tracking_uri: where to; None takes what ``mlflow.json`` says. Another store than before gets everything.
        experiment: name of the experiment; None likewise.
    """

    def __init__(self, directory: str | Path, tracking_uri: str | None = None, experiment: str | None = None) -> None:
        self.directory = Path(directory)
        self.folder = RunFolder(directory)
        self.tracking_uri = tracking_uri
        self.experiment = experiment
        self._state: dict[str, Any] | None = None
        self._client: MlflowClient | None = None
        self._retry_at = 0.0

    @property
    def state(self) -> dict[str, Any]:
        """The content of ``mlflow.json``, as it is or as it will be once something is sent.

        Raises:
            UserError: the folder holds no run whose store is known.
        """
        if self._state is None:
            self._state = self._read_state()
        return self._state

    @property
    def run_id(self) -> str | None:
        """The id of the MLflow run; None before the store has been reached."""
        run_id: str | None = self.state["run_id"]
        return run_id

    def count_pending(self) -> int:
        """Return the number of journal lines that MLflow does not have yet."""
        return len(split_complete(self.folder.journal, self.state["sent_bytes"]))

    def save_address(self) -> None:
        """Write down where the run is to be sent, so that it can be sent later even if no store was ever reached."""
        write_json(self.folder.mlflow_state, self.state)

    def send(self, force: bool = True) -> bool:
        """Send everything that is pending.

        Args:
            force: try even if the last try failed less than a minute ago.

        Returns:
            Whether nothing is pending any more. A store that cannot be reached is logged as a warning, not raised.
        """
        if not force and time.monotonic() < self._retry_at:
            return False
        self.save_address()
        try:
            self._client = self._client or connect(self.state["tracking_uri"])
            return self._send_lines(self._client)
        except list_store_errors() as error:
            self._retry_at = time.monotonic() + 60
            logger.warning(
                f"MLflow at {hide_credentials(self.state['tracking_uri'])} did not take {self.count_pending()} entries "
                f"({get_first_line(error)[:200]}). The run goes on; they are kept in {self.directory}. "
                f"Send them later: medmamba-monai send {self.directory}"
            )
            return False

    def find_experiment_id(self) -> str | None:
        """Return the id of the run's experiment; None while the store cannot tell it."""
        if self._client is None or self.run_id is None:
            return None
        try:
            return str(self._client.get_run(self.run_id).info.experiment_id)
        except list_store_errors():
            return None

    def _read_state(self) -> dict[str, Any]:
        path = self.folder.mlflow_state
        saved = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        uri = self.tracking_uri or saved.get("tracking_uri")
        if not uri:
            raise UserError(f"{self.directory} holds no tracked run (no {path.name})")
        experiment = self.experiment or saved["experiment"]
        same = (saved.get("tracking_uri"), saved.get("experiment")) == (uri, experiment)
        return {
            "tracking_uri": uri,
            "experiment": experiment,
            "run_id": saved.get("run_id") if same else None,
            "sent_bytes": saved.get("sent_bytes", 0) if same else 0,
        }

    def _send_lines(self, client: MlflowClient) -> bool:
        for raw in split_complete(self.folder.journal, self.state["sent_bytes"]):
            line = json.loads(raw)
            if line["op"] == "start":
                if not self._create_run(client, line):
                    return False
            else:
                self._send_line(client, line)
            self.state["sent_bytes"] += len(raw)
            self.save_address()
        return True

    def _create_run(self, client: MlflowClient, line: dict[str, Any]) -> bool:
        tags = {}
        if line["parent"] is not None:
            parent_state = RunFolder(self.directory / line["parent"]).mlflow_state
            parent_id = json.loads(parent_state.read_text())["run_id"] if parent_state.is_file() else None
            if parent_id is None:
                return False
            tags[PARENT_TAG] = parent_id
        experiment = find_or_create_experiment(client, self.state["tracking_uri"], self.state["experiment"])
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

    def _send_params(self, client: MlflowClient, line: dict[str, Any]) -> None:
        from mlflow.entities import Param

        client.log_batch(self.state["run_id"], params=[Param(key, value) for key, value in line["values"].items()])

    def _send_tags(self, client: MlflowClient, line: dict[str, Any]) -> None:
        from mlflow.entities import RunTag

        client.log_batch(self.state["run_id"], tags=[RunTag(key, value) for key, value in line["values"].items()])

    def _send_dataset(self, client: MlflowClient, line: dict[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        # The source types that MLflow can load from are addresses; this one says what made the dataset.
        source = json.dumps({"tags": {"dataset": line["name"], "digest": line["digest"]}})
        dataset = Dataset(line["name"], line["digest"][:_DIGEST_LENGTH], source_type="code", source=source)
        context = InputTag("mlflow.data.context", line["context"])
        client.log_inputs(self.state["run_id"], [DatasetInput(dataset, [context])])

    def _send_metrics(self, client: MlflowClient, line: dict[str, Any]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(key, value, line["time"], line["step"]) for key, value in line["values"].items()]
        for start in range(0, len(metrics), _BATCH_METRICS):
            client.log_batch(self.state["run_id"], metrics=metrics[start : start + _BATCH_METRICS])

    def _send_artifact(self, client: MlflowClient, line: dict[str, Any]) -> None:
        path = self.directory / line["path"]
        if not path.is_file():
            logger.error(f"{path} was logged as an artifact but is gone; it is skipped")
            return
        client.log_artifact(self.state["run_id"], str(path), line["folder"] or None)

    def _send_status(self, client: MlflowClient, line: dict[str, Any]) -> None:
        if line["status"] == "RUNNING":
            client.update_run(self.state["run_id"], status="RUNNING")
        else:
            client.set_terminated(self.state["run_id"], line["status"], end_time=line["time"])


_OPERATIONS = {
    "params": JournalSender._send_params,
    "tags": JournalSender._send_tags,
    "dataset": JournalSender._send_dataset,
    "metrics": JournalSender._send_metrics,
    "artifact": JournalSender._send_artifact,
    "status": JournalSender._send_status,
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
    state_name = RunFolder(root).mlflow_state.name
    folders = sorted(path.parent for path in root.glob(f"**/{state_name}"))
    if not folders:
        raise UserError(f"{root} holds no tracked run (no {state_name} in it)")
    senders = [JournalSender(folder) for folder in folders]
    for sender in senders:
        before = sender.count_pending()
        if sender.send():
            logger.info(f"{sender.directory}: {before} entries sent")
    return sum(sender.count_pending() for sender in senders)
