"""The journal of a run: everything it logs, in a local file first, so that nothing is lost while a server is away."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.tracking.dataset import RunDataset
from medmamba_monai.tracking.journal_file import append_line, read_lines


class Journal:
    """An append-only file of everything one run logs, one JSON object a line.

    Lines are ``{"op": ..., "time": milliseconds since 1970, ...}`` with the operations ``start`` (name, parent),
    ``params``, ``tags``, ``dataset`` (name, digest, context), ``metrics`` (values, step), ``artifact`` (path relative
    to the run's folder, folder in the store), ``status`` (RUNNING, FINISHED, FAILED or KILLED) and ``store`` (whether
    the run is to stay on this machine, and its experiment). What a repeated step logs again is not written twice, and a
    parameter that changed when the run went on becomes the tag ``changed.<name>``. A second ``start`` begins another
    run, which knows nothing of the first.

    The file is ``tracking.jsonl`` in the run's folder. It is read when something is first logged or asked.

    Args:
        directory: the run's folder.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.path = RunFolder(directory).journal
        self._lock = threading.RLock()
        self._is_read = False
        self._runs = 0
        self._forget()

    @property
    def status(self) -> str | None:
        """The status logged last; None where there is none."""
        self._read()
        return self._status

    @property
    def started(self) -> bool:
        """Whether a run was begun."""
        self._read()
        return self._started

    def count_runs(self) -> int:
        """Return how many runs were begun in the folder, one after the other."""
        self._read()
        return self._runs

    @property
    def stays_local(self) -> bool:
        """Whether the run was told to be sent nowhere."""
        self._read()
        return self._stays_local

    @property
    def experiment(self) -> str:
        """Name of the experiment of a run that was told to stay; empty where it was not."""
        self._read()
        return self._experiment

    def get_tag(self, name: str) -> str:
        """Return what a tag says; empty where it was not set."""
        self._read()
        return self._tags.get(name, "")

    def start(self, name: str, parent: str | None = None, afresh: bool = False) -> None:
        """Begin a run, or go on with the one that was begun.

        Args:
            name: of the run.
            parent: folder, relative to this one, of the run that it belongs to.
            afresh: begin another run although there is one already.
        """
        if afresh or not self.started:
            self._append({"op": "start", "name": name, "parent": parent})
        # also where it says so already: what ended the run may not have been able to write it here
        self._append({"op": "status", "status": "RUNNING"})

    def keep_local(self, local: bool, experiment: str = "") -> None:
        """Log whether the run is to stay on this machine, and the experiment that it is of."""
        if local != self.stays_local:
            self._append({"op": "store", "local": local, "experiment": experiment})

    def log_params(self, values: Mapping[str, Any]) -> None:
        """Log parameters; of those known already, only what changed, as tags."""
        self._read()
        texts = {key: str(value) for key, value in values.items()}
        new = {key: text for key, text in texts.items() if key not in self._params}
        changed = {f"changed.{key}": text for key, text in texts.items() if self._params.get(key, text) != text}
        if new:
            self._append({"op": "params", "values": new})
        if changed:
            self.set_tags(changed)

    def set_tags(self, values: Mapping[str, Any]) -> None:
        """Set tags; a later value replaces an earlier one."""
        self._append({"op": "tags", "values": {key: str(value) for key, value in values.items()}})

    def log_dataset(self, dataset: RunDataset) -> None:
        """Log the dataset that the run works on, once."""
        self._read()
        if dataset not in self._datasets:
            self._append({"op": "dataset", **asdict(dataset)})

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log numbers of a step; a (name, step) that is known already is left as it is."""
        self._read()
        new = {key: float(value) for key, value in values.items() if (key, step) not in self._metrics}
        if new:
            self._append({"op": "metrics", "values": new, "step": step})

    def log_summary(self, values: Mapping[str, float]) -> None:
        """Log numbers about the run as a whole, at step 0; a later value replaces an earlier one."""
        self._read()
        new = {key: float(value) for key, value in values.items() if self._metrics.get((key, 0)) != float(value)}
        if new:
            self._append({"op": "metrics", "values": new, "step": 0})

    def log_artifact(self, path: str | Path, folder: str = "", stays_here: bool = False) -> None:
        """Log a file, which must lie in or below the run's folder and stay there until it is sent.

        Args:
            path: the file.
            folder: where it goes in the store.
            stays_here: whether it is for stores on this machine alone, now and whenever it is sent.
        """
        line = {"op": "artifact", "path": os.path.relpath(path, self.directory), "folder": folder}
        self._append({**line, "stays_here": True} if stays_here else line)

    def set_status(self, status: str) -> None:
        """Log that the run is RUNNING, FINISHED, FAILED or KILLED."""
        if status != self.status:
            self._append({"op": "status", "status": status})

    def find_last_step(self, prefix: str) -> int:
        """Return the largest step logged of metrics whose name begins with ``prefix``; -1 where there is none."""
        self._read()
        return max((step for key, step in self._metrics if key.startswith(prefix)), default=-1)

    def _read(self) -> None:
        with self._lock:
            if not self._is_read:
                for line in read_lines(self.path):
                    self._remember(line)
                self._is_read = True

    def _append(self, line: dict[str, Any]) -> None:
        line = {**line, "time": int(time.time() * 1000)}
        with self._lock:
            self._read()
            try:
                append_line(self.path, line)
            except OSError as error:
                raise UserError(
                    f"cannot write {self.path}: {error.strerror or error}. Free space and start again; "
                    "what was logged before is kept."
                ) from error
            self._remember(line)

    def _forget(self) -> None:
        self._started = False
        self._stays_local = False
        self._experiment = ""
        self._status: str | None = None
        self._tags: dict[str, str] = {}
        self._params: dict[str, str] = {}
        self._datasets: set[RunDataset] = set()
        self._metrics: dict[tuple[str, int], float] = {}

    def _remember(self, line: dict[str, Any]) -> None:
        if line["op"] == "start":
            self._forget()
            self._started = True
            self._runs += 1
        elif line["op"] == "params":
            self._params.update(line["values"])
        elif line["op"] == "tags":
            self._tags.update(line["values"])
        elif line["op"] == "dataset":
            self._datasets.add(RunDataset(line["name"], line["digest"], line["context"]))
        elif line["op"] == "metrics":
            self._metrics.update({(key, line["step"]): value for key, value in line["values"].items()})
        elif line["op"] == "status":
            self._status = line["status"]
        elif line["op"] == "store":
            self._stays_local = bool(line["local"])
            self._experiment = str(line.get("experiment", ""))
