"""The phantom bundle with a network and a dataset so small that a fold trains in seconds, run as a user runs it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helpers.warm_commands import WarmProcess, find_program

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 4
SMALL: dict[str, Any] = {
    "image_size": 32,
    "depths": [1, 1],
    "channels": [8, 16],
    "batch_size": 4,
    "learning_rate": 0.01,
    "epochs": EPOCHS,
}

MLFLOW_IN_ONE_PROCESS = """
import os, runpy, sys
import mlflow.cli, mlflow.server

def run_here(command, extra_env, **options):
    os.environ.update(extra_env)
    sys.argv = command[2:]
    runpy.run_module("uvicorn", run_name="__main__")

mlflow.server._exec_cmd = run_here
mlflow.cli.cli()
"""


@dataclass(frozen=True)
class SmallBundle:
    """A copy of ``bundles/phantom``, its generated images in two folds, and a store made ready once.

    Attributes:
        root: the bundle.
        dataset_dir: the images.
        data_list: the folds.
        store: an empty SQLite store; its tables take seconds to make, so that tests copy it.
    """

    root: Path
    dataset_dir: Path
    data_list: Path
    store: Path

    def config(self, name: str) -> str:
        """Path of a config file."""
        return str(self.root / "configs" / f"{name}.json")

    def options(self, folder: Path, **changes: Any) -> dict[str, Any]:
        """Options of a small training that writes into ``folder``."""
        made = {
            "bundle_root": str(self.root),
            "dataset_dir": str(self.dataset_dir),
            "data_list": str(self.data_list),
            "output_dir": str(folder / "output"),
            "tracking_uri": f"sqlite:///{folder}/mlruns.db",
            "run_name": "small",
            **SMALL,
        }
        return {key: value for key, value in {**made, **changes}.items() if value is not None}

    def command(self, run_id: str, configs: list[str], folder: Path, **changes: Any) -> list[str]:
        """The command line of ``python -m monai.bundle run``."""
        files = str([self.config(name) for name in configs])
        options = {"config_file": files, **self.options(folder, **changes)}
        arguments = [text for key, value in options.items() for text in (f"--{key}", str(value))]
        return [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", run_id, *arguments]


Running = subprocess.Popen[str] | WarmProcess


def start(command: list[str], folder: Path, warm_folds: bool = True, **environment: str) -> Running:
    """Start a command in a folder, as the leader of a process group, its output in ``output.txt``.

    What Python runs finds the large packages imported, and so do its folds unless ``warm_folds`` is False.
    """
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    if command[0] == sys.executable and find_program(command[1:]) is not None:
        return WarmProcess(command[1:], folder, variables, warm_folds)
    output = (folder / "output.txt").open("a")
    return subprocess.Popen(
        command, cwd=folder, env=variables, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, text=True
    )


def run_command(command: list[str], folder: Path, warm_folds: bool = True, **environment: str) -> tuple[int, str]:
    """Run a command to its end; its exit code and what it printed."""
    (folder / "output.txt").unlink(missing_ok=True)
    code = start(command, folder, warm_folds, **environment).wait()
    return code, (folder / "output.txt").read_text()


def run_distributed(command: list[str], folder: Path, number: int, **environment: str) -> tuple[list[int], str]:
    """Run a command in several processes; their exit codes, and what they printed."""
    processes = start_ranks(command, folder, number, **environment)
    return [process.wait() for process in processes], (folder / "output.txt").read_text()


def start_ranks(command: list[str], folder: Path, number: int, **environment: str) -> list[Running]:
    """Start a command in several processes that find one another as those of ``torchrun`` do."""
    size, port = str(number), str(free_port())
    together = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(number)]
    return [start(command, folder, **environment, **together, **rank) for rank in ranks]


def copy_cross_validation(finished: Path, folder: Path) -> Path:
    """Copy a finished cross-validation with a store of its own; returns its ``output``."""
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns(".*", "mlruns.db*"))
    with closing(sqlite3.connect(finished / "mlruns.db")) as old, closing(sqlite3.connect(folder / "mlruns.db")) as new:
        old.backup(new)
        for table, column in (("runs", "artifact_uri"), ("experiments", "artifact_location")):
            new.execute(f"update {table} set {column} = replace({column}, ?, ?)", (str(finished), str(folder)))
        new.commit()
    for state in folder.rglob("mlflow.json"):
        state.write_text(state.read_text().replace(str(finished), str(folder)))
    return folder / "output"


def wait_until(happened: Callable[[], bool], process: Running, seconds: float = 240) -> None:
    """Wait for something that a process does."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, "the process ended before"
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def end_group(process: Running, with_signal: signal.Signals = signal.SIGTERM) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, with_signal)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def mlflow_service(kind: str, store: Path, folder: Path, port: int) -> Iterator[str]:
    """Run ``mlflow ui`` as a user does, or ``mlflow server`` in one process, on a SQLite file; yields its address.

    Neither starts the eight processes with which MLflow evaluates language models.
    """
    command = [sys.executable, *(("-m", "mlflow") if kind == "ui" else ("-c", MLFLOW_IN_ONE_PROCESS))]
    command += [kind, "--backend-store-uri", f"sqlite:///{store}"]
    if kind == "server":
        command += ["--artifacts-destination", str(folder / "artifacts")]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    process = start(command, folder, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(address), process)
        yield address
    finally:
        end_group(process)


def _answers(address: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=1) as response:
        return bool(response.status == 200)
    return False
