"""Who used the cores of the machine meanwhile: the processes that log, the store, other programs."""

from __future__ import annotations

import contextlib
import os
import time
from typing import NamedTuple

import psutil


class Used(NamedTuple):
    """Seconds until now.

    Attributes:
        moment: on the monotonic clock.
        machine: that all cores of the machine have been busy.
        folds: that processes forked for folds have been running.
        store: that the other processes which this one started have been running.
    """

    moment: float
    machine: float
    folds: float
    store: float


def look(folds: list[int]) -> Used:
    """Look at what has been used; processes that have ended are not counted.

    Args:
        folds: process ids of the folds.
    """
    times = psutil.cpu_times()
    used = {True: 0.0, False: 0.0}
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            spent = process.cpu_times()
            used[process.pid in folds] += spent.user + spent.system
    return Used(time.monotonic(), sum(times) - times.idle - times.iowait, used[True], used[False])


def compare(before: Used, after: Used, epochs: int) -> dict[str, float]:
    """Return seconds of a core that an epoch costs a fold and the store, and the share of the cores that others had."""
    whole = (after.moment - before.moment) * (os.cpu_count() or 1)
    folds, store = after.folds - before.folds, after.store - before.store
    others = after.machine - before.machine - folds - store
    return {"fold_core": folds / epochs, "store_core": store / epochs, "others": max(others / whole, 0.0)}
