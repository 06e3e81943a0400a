"""Signs of life: a site sends one every few seconds, and the server counts a site as gone that has stopped to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

TOPIC = "medmamba_monai.federation.alive"
INTERVAL = 3.0
"""Seconds between two signs."""


class VitalSigns:
    """When sites were heard last; one that was never heard is not gone, as it may still be starting.

    Args:
        patience: seconds after which a silent site is gone.
        clock: tells seconds.
    """

    def __init__(self, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.patience, self._clock = patience, clock
        self._heard: dict[str, float] = {}

    def hear(self, site: str) -> None:
        """Note a sign of life."""
        self._heard[site] = self._clock()

    def expect(self, sites: Sequence[str]) -> None:
        """Wait for the signs of sites from now on, also of those that were never heard."""
        for site in sites:
            self._heard.setdefault(site, self._clock())

    def list_gone(self, sites: Sequence[str]) -> list[str]:
        """Return those of some sites that are gone; one that is heard again is back."""
        now = self._clock()
        return [site for site in sites if now - self._heard.get(site, now) > self.patience]


class Pulse:
    """Calls something every few seconds, in a thread that does not keep a process alive.

    Args:
        beat: what is called.
        interval: seconds between two calls.
    """

    def __init__(self, beat: Callable[[], None], interval: float = INTERVAL) -> None:
        self._beat, self._interval = beat, interval
        self._ended = threading.Event()
        threading.Thread(target=self._run, daemon=True, name="pulse").start()

    def end(self) -> None:
        """Call it no more."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            with suppress(Exception):  # a connection that is lost for a while: the next one may get through
                self._beat()
            self._ended.wait(self._interval)
