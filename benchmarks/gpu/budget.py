"""The time that a run of ``benchmarks.gpu`` may take."""

from __future__ import annotations

import time
from collections.abc import Callable


class Budget:
    """Seconds from now on, or no limit.

    Args:
        seconds: how many there are, None for no limit.
        clock: tells the time in seconds.
    """

    def __init__(self, seconds: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = None if seconds is None else clock() + seconds

    def left(self) -> float | None:
        """Return the seconds that are left, at least one; None where there is no limit."""
        return None if self._end is None else max(1.0, self._end - self._clock())

    def is_spent(self, needed: float = 0.0) -> bool:
        """Return whether fewer seconds are left than are needed."""
        return self._end is not None and self._end - self._clock() < needed
