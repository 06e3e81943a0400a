"""Entries of a journal, told to MLflow's client."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medmamba_monai.tracking.journal_file import RawLine
from medmamba_monai.tracking.store_problems import ask, describe_store_error, find_run

if TYPE_CHECKING:
    from mlflow import MlflowClient

_BATCH_METRICS = 900
_DIGEST_LENGTH = 12
"""Characters of a dataset's digest that MLflow is given for its table; it takes 36 at most."""

_PERMANENT = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")
logger = logging.getLogger("medmamba_monai.tracking")

Entry = dict[str, Any]


def send_entry(client: MlflowClient, run_id: str, directory: Path, entry: Entry) -> int:
    """Send an entry that is not the start of a run.

    Args:
        client: of the store.
        run_id: the run that it belongs to.
        directory: folder of the journal, to which artifacts are relative.
        entry: what the line says.

    Returns:
        How many values can never be sent, as MLflow refuses them or their file is gone; each is named in the log.

    Raises:
        StoreProblem: the run is gone, or the store is none.
    """
    from mlflow.exceptions import MlflowException

    try:
        return _OPERATIONS[entry["op"]](client, run_id, directory, entry)
    except MlflowException as error:
        if error.error_code not in (*_PERMANENT, "RESOURCE_DOES_NOT_EXIST"):
            raise
        find_run(client, run_id)  # of a run that was deleted each entry would be refused
        if error.error_code not in _PERMANENT:
            raise
        parts = list(_split(entry))
        if len(parts) > 1:  # one value that is refused takes none of the others with it
            return sum(send_entry(client, run_id, directory, part) for part in parts)
        reason = describe_store_error(error)
        logger.error(f"MLflow refuses an entry for good; it stays in {directory}: {entry} ({reason})")
        return 1


def send_together(client: MlflowClient, run_id: str, directory: Path, entries: Sequence[Entry]) -> int:
    """Send entries that `join_metrics` put together, with as few calls as there can be; else as `send_entry` does.

    Args:
        client: of the store.
        run_id: the run that they belong to.
        directory: folder of the journal.
        entries: what the lines say.

    Returns:
        How many values can never be sent.

    Raises:
        StoreProblem: the run is gone, or the store is none.
    """
    from mlflow.exceptions import MlflowException

    if len(entries) > 1:
        try:
            return _log_metrics(client, run_id, entries)
        except MlflowException as error:
            if error.error_code not in (*_PERMANENT, "RESOURCE_DOES_NOT_EXIST"):
                raise
    return sum(send_entry(client, run_id, directory, entry) for entry in entries)


def join_metrics(lines: Sequence[RawLine], most: int) -> Iterator[Sequence[RawLine]]:
    """Yield the lines of a journal in order, metrics that follow one another together.

    Args:
        lines: of a run.
        most: how many lines may be together.
    """
    for are_metrics, group in itertools.groupby(lines, lambda line: (line.content or {}).get("op") == "metrics"):
        found, size = list(group), most if are_metrics else 1
        yield from (found[start : start + size] for start in range(0, len(found), size))


def _split(entry: Entry) -> Iterator[Entry]:
    for key, value in entry.get("values", {}).items():
        yield {**entry, "values": {key: value}}


def _send_params(client: MlflowClient, run_id: str, directory: Path, entry: Entry) -> int:
    from mlflow.entities import Param

    ask(client.log_batch, run_id, params=[Param(key, value) for key, value in entry["values"].items()])
    return 0


def _send_tags(client: MlflowClient, run_id: str, directory: Path, entry: Entry) -> int:
    from mlflow.entities import RunTag

    ask(client.log_batch, run_id, tags=[RunTag(key, value) for key, value in entry["values"].items()])
    return 0


def _send_dataset(client: MlflowClient, run_id: str, directory: Path, entry: Entry) -> int:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    # The source types that MLflow can load from are addresses; this one says what made the dataset.
    source = json.dumps({"tags": {"dataset": entry["name"], "digest": entry["digest"]}})
    dataset = Dataset(entry["name"], entry["digest"][:_DIGEST_LENGTH], source_type="code", source=source)
    context = InputTag("mlflow.data.context", entry["context"])
    ask(client.log_inputs, run_id, [DatasetInput(dataset, [context])])
    return 0


def _send_metrics(client: MlflowClient, run_id: str, directory: Path, entry: Entry) -> int:
    return _log_metrics(client, run_id, [entry])


def _log_metrics(client: MlflowClient, run_id: str, entries: Sequence[Entry]) -> int:
    from mlflow.entities import Metric

    metrics = [
        Metric(key, value, entry["time"], entry["step"]) for entry in entries for key, value in entry["values"].items()
    ]
    for start in range(0, len(metrics), _BATCH_METRICS):
        ask(client.log_batch, run_id, metrics=metrics[start : start + _BATCH_METRICS])
    return 0


def _send_artifact(client: MlflowClient, run_id: str, directory: Path, entry: Entry) -> int:
    path = directory / entry["path"]
    if not path.is_file():
        logger.error(f"{path} was logged as an artifact but is gone; it is left out")
        return 1
    ask(client.log_artifact, run_id, str(path), entry["folder"] or None)
    return 0


def _send_status(client: MlflowClient, run_id: str, directory: Path, entry: Entry) -> int:
    if entry["status"] == "RUNNING":
        ask(client.update_run, run_id, status="RUNNING")
    else:
        ask(client.set_terminated, run_id, entry["status"], end_time=entry["time"])
    return 0


_OPERATIONS: dict[str, Callable[[MlflowClient, str, Path, Entry], int]] = {
    "params": _send_params,
    "tags": _send_tags,
    "dataset": _send_dataset,
    "metrics": _send_metrics,
    "artifact": _send_artifact,
    "status": _send_status,
}
