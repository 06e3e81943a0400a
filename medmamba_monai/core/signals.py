"""Signals that ask a process to stop, and words that may be said to nobody once a terminal is closed."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], object]

EXIT_KILLED = 130
"""What a command that was stopped answers, as shells do for Ctrl-C."""

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, a request to end, and a closed terminal, as far as the system has them."""


@contextlib.contextmanager
def catch_signals(numbers: tuple[signal.Signals, ...], handler: Handler, only_default: bool = False) -> Iterator[None]:
    """Handle signals for the time of a ``with`` statement.

    One that is ignored, as ``nohup`` has it for a closed terminal, stays so. Outside the main thread, where Python
    cannot handle signals, nothing is changed.

    Args:
        numbers: the signals.
        handler: what to call.
        only_default: leave alone also those that something else handles already.
    """
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        found = {number: signal.getsignal(number) for number in numbers}
        spared = (signal.SIG_IGN, None)
        before = {n: h for n, h in found.items() if (h == signal.SIG_DFL if only_default else h not in spared)}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def interrupt(number: int, frame: object) -> None:
    """Stop at a signal as at Ctrl-C."""
    raise KeyboardInterrupt(f"signal {number}")


def end_with_parent(parent: int) -> None:
    """Stop like Ctrl-C when the process that this one works for is gone, so that a restart does not meet its orphans.

    Args:
        parent: its id.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGINT)  # a real signal: it also ends a call that waits

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


def leave_if_stopped(error: BaseException, said: str = "stopped") -> None:
    """End this process where the error is that a user stopped it.

    Args:
        error: what ended the work.
        said: how it stands, before the words that it can go on.
    """
    if isinstance(error, KeyboardInterrupt):
        say(f"{said}; start the same command again to go on where it was")
        sys.exit(EXIT_KILLED)


def say(text: str) -> None:
    """Print a line at once, or do without where nobody reads any more."""
    with contextlib.suppress(OSError):  # the terminal was closed: what it was told stands in the logs
        print(text, flush=True)
