"""The lease of a folder that several machines see: its holder keeps saying that it lives.

`lock_folder` is a lock of the file system, which other machines see only where the file system passes it on. A lease is
a file that its holder touches; who finds it untouched for long enough, by its own clock, knows that the holder is gone.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import LeaseCompromise, SoftFileLease, Timeout

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.folder_lock import lock_folder
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.core.signals import say

LEASE_SECONDS = 60.0
"""After how long without a touch a holder on another machine is taken for gone; it touches three times as often."""


@contextmanager
def hold_folder(directory: str | Path, what: str, machines: bool, patience: float) -> Iterator[None]:
    """Hold a folder against other processes of this machine, and where it is asked for against other machines.

    Args:
        directory: the folder, which is made where it is not there.
        what: what runs in it, for the message.
        machines: whether other machines may work in it, too.
        patience: seconds to wait for who has it; whether another machine lives is waited for in any case.

    Raises:
        UserError: it is in use, or cannot be written.
    """
    with lock_folder(directory, what, patience):
        if not machines:
            yield
            return
        with lease_folder(directory, what, max(patience, 1.5 * LEASE_SECONDS)):
            yield


@contextmanager
def lease_folder(directory: str | Path, what: str, patience: float, seconds: float = LEASE_SECONDS) -> Iterator[None]:
    """Hold a folder against other machines while the block runs.

    A holder that died on this machine is told at once by its process number, one on another machine after `seconds`.
    Where the lease is lost, since this process stood still for that long, the process is asked to end (SIGTERM).

    Args:
        directory: the folder.
        what: what runs in it, for the message.
        patience: seconds to wait for another holder; more than `seconds`, or one that is gone is not told.
        seconds: the same for all who ask for the folder.

    Raises:
        UserError: another machine is at work in the folder.
    """
    lease = SoftFileLease(
        RunFolder(Path(directory).resolve()).lease,
        lease_duration=seconds,
        on_compromise=_stop,
        poll_interval=min(1.0, seconds / 10),
    )
    try:
        _wait(lease, directory, patience)
    except Timeout:
        raise UserError(
            f"{directory} is in use: this {what} is running already, on another machine: {lease.lock_file} is touched"
        ) from None
    try:
        yield
    finally:
        lease.release()


def _wait(lease: SoftFileLease, directory: str | Path, patience: float) -> None:
    try:
        lease.acquire(timeout=0)
    except Timeout:
        say(f"{directory} is another machine's; whether it lives is seen within {patience:.0f} s")
        lease.acquire(timeout=patience)


def _stop(loss: LeaseCompromise) -> None:
    say(f"{loss.lock_file} is held by another machine now ({loss.reason}): this one stops")
    os.kill(os.getpid(), signal.SIGTERM)
