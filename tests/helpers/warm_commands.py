"""Commands in processes that find the large packages and ours imported: forked from one that did nothing else.

This module imports none of them itself: the process that hands out the tests has no use for them.

Importing torch, MONAI and MLflow takes longer than most of what the tests run. What a fresh interpreter does is tested
by tests/test_imports.py, and of the server that forks folds by tests/cross_validation/test_fold_jobs.py.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import Pipe, forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.reduction import DupFd
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

if TYPE_CHECKING:
    from medmamba_monai.cross_validation.fold_server import FoldServer

# Of Numba nothing that looks at the CPU.
LARGE = (
    *("torch", "tests.helpers.quick_monai", "monai.bundle", "ignite.handlers", "matplotlib.pyplot"),
    *("sklearn.metrics", "typer", "fire", "mlflow.store.tracking.sqlalchemy_store", "sqlalchemy.dialects.sqlite"),
    *("numba", "numba.misc.cffiimpl"),
)
# What a command imports of the package. It does not know the CPU either.
OURS = ("medmamba_monai.bundle.workflow", "medmamba_monai.training", "medmamba_monai.cross_validation.fold_process")
# Imported last: keeps all that was imported out of the collections of garbage.
FROZEN = "tests.helpers.frozen"
_without_package = forkserver.ForkServer()

TORCHRUN = "torch.distributed.run"
MAY_RUN_FOLDS = {"cross_validation", "cross-validate", "repeat", "ipykernel_launcher"}


def warm_context() -> ForkServerContext:
    """Return what starts processes that have imported the large packages and ours, and done nothing with them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*LARGE, *OURS, FROZEN])
    return context


@contextlib.contextmanager
def without_package() -> Iterator[None]:
    """Let the processes that start meanwhile have imported the large packages alone, as commands of a wheel must."""
    usual = forkserver.connect_to_new_process
    _without_package.set_forkserver_preload([*LARGE, FROZEN])
    forkserver.connect_to_new_process = _without_package.connect_to_new_process  # type: ignore[assignment]
    try:
        yield
    finally:
        forkserver.connect_to_new_process = usual  # type: ignore[assignment]


def warm_multiprocessing() -> SimpleNamespace:
    """Return what stands for ``multiprocessing`` in a module whose fresh processes may be warm."""
    context = warm_context()
    return SimpleNamespace(get_context=lambda method: context)


class WarmProcess:
    """``python ARGUMENTS`` in a folder, with a process group of its own; what it prints is added to ``output.txt``.

    It is used as a ``subprocess.Popen`` without pipes is.

    Args:
        arguments: of Python.
        folder: where it works.
        environment: its variables.
        warm_folds: whether the server that forks its folds, if it runs any, is warm too.
    """

    stdin = stdout = stderr = None

    def __init__(
        self, arguments: list[str], folder: Path, environment: dict[str, str], warm_folds: bool = True
    ) -> None:
        told = arguments, folder, environment, warm_folds
        self._process = warm_context().Process(target=_run_as_program, args=told)
        self._process.start()
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a warm process", timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal to the process alone."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process alone."""
        self._process.kill()


def launch_kernel(command: list[str], cwd: str, env: dict[str, str], **streams: None) -> WarmProcess:
    """Stand for ``launch_kernel`` of Jupyter, whose process is Python's; returned once signals may go to its group."""
    process = WarmProcess(command[1:], Path(cwd), env)
    while process.poll() is None and os.getpgid(process.pid) != process.pid:
        time.sleep(0.01)
    return process


def launch_fold_server(server: FoldServer) -> WarmFoldServer:
    """Stand for ``FoldServer._launch`` in the process of the tests."""
    streams = [DupFd(1), DupFd(2)]
    process = warm_context().Process(target=_serve_folds, args=(server._other_end, streams, dict(os.environ)))
    process.start()
    server._other_end.close()
    return WarmFoldServer(process.pid or 0, process.join)


class WarmFoldServer(NamedTuple):
    """The process of a fold server, used as a ``subprocess.Popen`` is."""

    pid: int
    wait: Callable[[], Any]

    def kill(self) -> None:
        """Kill it."""
        os.kill(self.pid, signal.SIGKILL)


def _serve_folds(connection: Connection, streams: list[Any], environment: dict[str, str]) -> None:
    from medmamba_monai.cross_validation.fold_server import serve

    gc.unfreeze()  # the server freezes what it holds by itself
    _take_environment(environment)
    for number, stream in enumerate(streams, 1):
        os.dup2(stream.detach(), number)
    _end(_find_exit_code(lambda: sys.exit(serve(connection))))


def _fork_fold_server() -> None:
    """Fork what a cross-validation takes for the server of its folds, before anything in this process computes."""
    mine, of_server = Pipe()
    if (pid := os.fork()) == 0:
        mine.close()
        _serve_folds(of_server, [], dict(os.environ))
    of_server.close()
    from medmamba_monai.cross_validation.fold_server import FoldServer

    def launch(server: FoldServer) -> WarmFoldServer:
        server._pipe, server._other_end = mine, mine
        return WarmFoldServer(pid, lambda: os.waitpid(pid, 0))

    FoldServer._launch = launch  # type: ignore[method-assign,assignment]


class ForkedProgram:
    """A child of this process, used as a ``subprocess.Popen`` is."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait for its end."""
        ends = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > ends:
                raise subprocess.TimeoutExpired("a forked process", timeout)
            time.sleep(0.01)
        return code


def _fork_ranks(number: int) -> None:
    """Fork the processes that ``torchrun`` will start, before anything in this process computes."""
    waiting: list[tuple[int, Connection]] = []
    for _ in range(number):
        mine, of_rank = Pipe()
        if (pid := os.fork()) == 0:
            for connection in (mine, *(pipe for _, pipe in waiting)):
                connection.close()
            try:
                told = of_rank.recv()
            except EOFError:  # it is not needed
                os._exit(0)
            _run_as_program(*told, warm_folds=False)
        of_rank.close()
        waiting.append((pid, mine))

    from torch.distributed.elastic.multiprocessing.subprocess_handler import SubprocessHandler

    def start(handler: Any, arguments: tuple[str, ...], environment: dict[str, str]) -> ForkedProgram:
        pid, pipe = waiting.pop(0)
        pipe.send((list(arguments[1:]), Path.cwd(), environment))
        return ForkedProgram(pid)

    SubprocessHandler._popen = start  # type: ignore[method-assign,assignment]


def run_processes(function: Callable[..., None], *arguments: object, number: int) -> None:
    """Call ``function(rank, *arguments)`` in as many processes at once, as a distributed training has them."""
    from torch import multiprocessing as processes

    processes.start_processes(function, arguments, nprocs=number, start_method=warm_context().get_start_method())


def find_program(arguments: list[str]) -> int | None:
    """Return where ``-m``, ``-c`` or a script is in the arguments of Python; None after an option that matters."""
    for index, argument in enumerate(arguments):
        if argument in ("-m", "-c") or argument.endswith(".py"):
            return index
        if argument not in ("-W", "ignore", "-u") and not argument.startswith("-X"):
            break
    return None


def _run_as_program(arguments: list[str], folder: Path, environment: dict[str, str], warm_folds: bool) -> None:
    os.setsid()
    os.chdir(folder)
    _take_environment(environment)
    if paths := environment.get("PYTHONPATH"):
        sys.path[:0] = paths.split(os.pathsep)
    output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    if warm_folds and not MAY_RUN_FOLDS.isdisjoint(arguments):
        _fork_fold_server()
    if TORCHRUN in arguments:
        _fork_ranks(_read_number(arguments, "--nproc_per_node", 1) * (1 + _read_number(arguments, "--max-restarts", 0)))
    at = find_program(arguments)
    assert at is not None
    sys.argv = arguments[at + (arguments[at] in ("-m", "-c")) :]
    _end(_find_exit_code(lambda: _run(arguments[at], sys.argv[0])))


def _read_number(arguments: list[str], option: str, default: int) -> int:
    return next((int(text.split("=")[1]) for text in arguments if text.startswith(f"{option}=")), default)


def _take_environment(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    if "numba" in sys.modules:
        sys.modules["numba"].config.reload_config()
    if threads := environment.get("OMP_NUM_THREADS"):
        import torch

        number = int(threads)
        torch.set_num_threads(number)  # torch read the variable when it was imported
        # Torch's pool does not survive a fork, and two threads of the child that make it anew at once fail.
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(number))


def _end(code: int) -> NoReturn:
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run(kind: str, program: str) -> None:
    if kind == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    elif kind == "-c":
        exec(program, {"__name__": "__main__"})
    else:
        runpy.run_path(program, run_name="__main__")


def _find_exit_code(program: Callable[[], Any]) -> int:
    try:
        program()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - what ends a program is printed by its hook
        sys.excepthook(*sys.exc_info())
        return 1
    return 0
