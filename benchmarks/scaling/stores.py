"""Stores that folds log to: a SQLite file, and real MLflow servers on loopback over SQLite and over PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from medmamba_monai.core.errors import UserError

SQLITE, SERVER, POSTGRES = "SQLite", "server over SQLite", "server over PostgreSQL"
_START_SECONDS, _LOOK_SECONDS = 180.0, 0.2
_DEBIAN = Path("/usr/lib/postgresql")


@contextlib.contextmanager
def run_sqlite(folder: Path, workers: int) -> Iterator[str]:
    """Name a SQLite file, which the folds themselves write."""
    yield f"sqlite:///{folder}/mlruns.db"


@contextlib.contextmanager
def run_server(folder: Path, workers: int) -> Iterator[str]:
    """Run a server over a SQLite file."""
    with _serve(folder, f"sqlite:///{folder}/server.db", workers) as address:
        yield address


@contextlib.contextmanager
def run_server_over_postgres(folder: Path, workers: int) -> Iterator[str]:
    """Run a PostgreSQL with a data folder of its own, and a server over it."""
    with _run_postgres(folder) as database, _serve(folder, database, workers) as address:
        yield address


STORES: dict[str, Callable[[Path, int], contextlib.AbstractContextManager[str]]] = {
    SQLITE: run_sqlite,
    SERVER: run_server,
    POSTGRES: run_server_over_postgres,
}
"""What runs a store in a folder and yields its address, by its name."""


def why_not(store: str) -> str:
    """Say why a store cannot be run here; nothing where it can."""
    if store != POSTGRES:
        return ""
    if find_spec("psycopg2") is None:
        return "psycopg2 is missing: pip install psycopg2-binary"
    return "" if _find_program("initdb") else "PostgreSQL is missing; Debian: apt-get install postgresql"


@contextlib.contextmanager
def _serve(folder: Path, database: str, workers: int) -> Iterator[str]:
    port = _find_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database, "--workers", str(workers)]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port)]
    # the processes with which MLflow evaluates language models stay out
    with _run(command, folder / "server.txt", {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}) as process:
        address = f"http://127.0.0.1:{port}"
        _wait(lambda: _answers(f"{address}/health"), process, folder / "server.txt")
        yield address


@contextlib.contextmanager
def _run_postgres(folder: Path) -> Iterator[str]:
    """Run PostgreSQL with its defaults; by root as the user ``postgres``, since it refuses to run as root."""
    data, port = folder / "postgres", _find_port()
    data.mkdir()
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(data, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    made = [*as_user, _find_program("initdb"), "-D", str(data), "-U", "mlflow", "-A", "trust", "-E", "UTF8"]
    subprocess.run(made, check=True, capture_output=True, cwd=data)
    command = [*as_user, _find_program("postgres"), "-D", str(data), "-p", str(port), "-k", str(data)]
    with _run([*command, "-h", "127.0.0.1"], folder / "postgres.txt", {}) as process:
        ready = [_find_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        _wait(lambda: subprocess.run(ready).returncode == 0, process, folder / "postgres.txt")
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"


@contextlib.contextmanager
def _run(command: Sequence[str], log: Path, variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("w") as output:
        process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if ready():
            return
        time.sleep(_LOOK_SECONDS)
    raise UserError(f"{process.args!r} did not start: {log.read_text()[-1000:]}")


def _answers(address: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=2) as response:
        return bool(response.status == 200)
    return False


def _find_program(name: str) -> str:
    """Return the program of PostgreSQL, which Debian keeps in a folder of its version; empty where there is none."""
    folders = sorted(_DEBIAN.glob("*/bin"), reverse=True)
    return shutil.which(name, path=os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")])) or ""


def _find_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
