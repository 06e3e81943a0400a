"""A process that has imported everything and from which the process of each fold is forked.

Importing torch, MONAI and MLflow can take longer than a small fold takes to train; so they are imported once for all
folds, by a process that does nothing else. Own code, since multiprocessing's fork server is one for a whole program,
with the streams and the environment that it had at first, and runs the program's main script again in each process.

The two ends talk through a pipe, in JSON: ``ready`` once, then ``start`` and ``signal`` one way, ``started`` and
``ended`` the other. The server ends when the pipe does, and the folds, whose parent it is, with it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from medmamba_monai.core.signals import STOP_SIGNALS

PRELOADED = (
    "medmamba_monai.cross_validation.fold_process",
    "medmamba_monai.training",
    "fire",
    "ignite.handlers",
    "matplotlib.figure",
    "mlflow.store.tracking.sqlalchemy_store",
    "numba",
    "sklearn.metrics",
    "sqlalchemy.dialects.sqlite",
)
"""What a fold imports; nothing in it starts a thread or computes."""

_LOOK_SECONDS = 0.1


class ForkedFold:
    """The process of a fold, used as a ``subprocess.Popen`` is.

    Args:
        server: what it is forked from.
        number: by which the server knows it.
        request: what the server is told, once it listens.
    """

    def __init__(self, server: FoldServer, number: int, request: Mapping[str, Any]) -> None:
        self._server, self._number = server, number
        self._request: Mapping[str, Any] | None = request
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for the signal that killed it; None while it runs."""
        self._server.listen()
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it has not ended.
        """
        ends = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > ends:
                raise subprocess.TimeoutExpired("the process of a fold", timeout)
            time.sleep(_LOOK_SECONDS / 2)
        return code

    def terminate(self) -> None:
        """Ask it to stop; one that the server has not heard of is never started."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._request is not None:
            self._request, self.returncode = None, -number
        elif self.returncode is None:
            self._server.send({"signal": self._number, "by": int(number)})

    def begin(self) -> None:
        """Have it started, if it is not yet: the server listens now."""
        if self._request is not None:
            self._server.send({"start": self._number, **self._request})
            self._request = None


class FoldServer:
    """The end of the cross-validation: it starts the server with the first fold and ends it with `close`."""

    def __init__(self) -> None:
        self._folds: dict[int, ForkedFold] = {}
        self._ready = self._ended = False
        self._pipe, self._other_end = Pipe()
        self._process = self._launch()

    @staticmethod
    def can_run() -> bool:
        """Return whether folds can be forked here: not where CUDA, once asked for a device, fails in what is forked."""
        import torch

        return sys.platform == "linux" and not torch.cuda.is_available()

    @property
    def pid(self) -> int:
        """Number of the process that is the parent of the folds."""
        return self._process.pid

    def start(self, job_file: str, environment: Mapping[str, str]) -> ForkedFold:
        """Start the process of a fold.

        Args:
            job_file: what `fold_process` is told.
            environment: variables that are set in it beside those of this process.
        """
        number = len(self._folds)
        self._folds[number] = ForkedFold(self, number, {"job": job_file, "environment": dict(environment)})
        self.listen()
        if self._ready:
            self._folds[number].begin()
        return self._folds[number]

    def wait_until_ready(self) -> None:
        """Wait until it has imported what folds need, for who measures the folds themselves."""
        while not (self._ready or self._ended):
            self.listen()
            time.sleep(_LOOK_SECONDS)

    def send(self, message: Mapping[str, Any]) -> None:
        """Tell the server something; one that has ended is noticed by `listen`."""
        try:
            self._pipe.send_bytes(json.dumps(message).encode())
        except OSError:
            self._note_end()

    def listen(self) -> None:
        """Take in what the server says without waiting for it."""
        try:
            while self._pipe.poll():
                self._take(json.loads(self._pipe.recv_bytes()))
        except (EOFError, OSError):
            self._note_end()

    def close(self) -> None:
        """End the server, at once where it is still importing."""
        self._pipe.close()
        if not self._ready:
            self._process.kill()
        self._process.wait()

    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the process; signals wait until it has learned to leave them to the folds."""
        descriptor = self._other_end.fileno()
        command = [sys.executable, "-m", "medmamba_monai.cross_validation", "--serve", str(descriptor)]
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
            return subprocess.Popen(command, env=environment, pass_fds=[descriptor])
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._other_end.close()

    def _take(self, message: Mapping[str, Any]) -> None:
        if "ready" in message:
            self._ready = True
            for fold in self._folds.values():
                fold.begin()
        else:
            self._folds[message["ended"]].returncode = message["code"]

    def _note_end(self) -> None:
        """Give the folds of a server that is gone the code of its end: what was its, stops with it."""
        code = self._process.wait()
        self._ended = True
        for fold in self._folds.values():
            if fold.returncode is None:
                fold.returncode = code or 1


@contextlib.contextmanager
def open_fold_server(needed: bool = True) -> Iterator[FoldServer | None]:
    """Start what forks the processes of folds, where it can run, for as long as the block runs.

    Args:
        needed: whether there will be folds; without them none is started.
    """
    server = FoldServer() if needed and FoldServer.can_run() else None
    try:
        yield server
    finally:
        if server is not None:
            server.close()


def serve(connection: Connection) -> int:
    """Fork a process for each fold that is asked for, until the other end of the pipe is closed.

    Returns:
        In the server 0, in the process of a fold its exit code.
    """
    inherited = {number: signal.signal(number, signal.SIG_IGN) for number in STOP_SIGNALS}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # a collection in a fold would look at all that was imported, and so copy the memory that it is in
    try:
        connection.send_bytes(json.dumps({"ready": True}).encode())
        request = _fork(connection)
    except (EOFError, ConnectionError):  # the other end is gone; folds that still run will see that their parent is
        return 0
    return _run_fold(request, inherited)


def _fork(connection: Connection) -> Mapping[str, Any]:
    """Fork on request; returns in the forked process, with the request."""
    running: dict[int, int] = {}
    while True:
        for number, code in _reap(running):
            connection.send_bytes(json.dumps({"ended": number, "code": code}).encode())
        if not connection.poll(_LOOK_SECONDS):
            continue
        request = json.loads(connection.recv_bytes())
        if "signal" in request:
            if request["signal"] in running:
                os.kill(running[request["signal"]], request["by"])
        elif (pid := os.fork()) == 0:
            connection.close()
            return dict(request)
        else:
            running[request["start"]] = pid


def _reap(running: dict[int, int]) -> Iterator[tuple[int, int]]:
    """Take the processes that ended out of the running ones; yields their numbers and exit codes."""
    for number, pid in list(running.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del running[number]
            yield number, os.waitstatus_to_exitcode(status)


def _run_fold(request: Mapping[str, Any], handlers: Mapping[signal.Signals, Any]) -> int:
    """Become the process of a fold: what a fresh one reads at its start is set in this one."""
    import torch

    from medmamba_monai.cross_validation.fold_process import main

    for number, handler in handlers.items():
        signal.signal(number, handler)
    os.environ.update(request["environment"])
    if threads := request["environment"].get("OMP_NUM_THREADS"):
        torch.set_num_threads(int(threads))
    return main(request["job"])
