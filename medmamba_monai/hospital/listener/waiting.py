"""Studies whose images were received and that wait to be quiet."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from medmamba_monai.hospital.listener import durable
from medmamba_monai.hospital.listener.state import Case, StateFolder


@dataclass
class Arrival:
    """When the last image of a study came, by a clock that nobody sets, and how many there are."""

    last: float
    images: int


class Waiting:
    """The studies in ``received``.

    Args:
        state: where they are.
        most: studies that may wait for their answer or its delivery.
    """

    def __init__(self, state: StateFolder, most: int) -> None:
        self._state = state
        self._most = most
        self._studies: dict[str, Arrival] = {}
        self._lock = threading.Lock()

    def load(self) -> None:
        """Find the studies that an earlier process received; they are quiet from now on."""
        now = time.monotonic()
        with self._lock:
            for folder in self._state.received.iterdir():
                self._studies[folder.name] = Arrival(now, sum(1 for _ in (folder / "images").glob("*")))

    def __len__(self) -> int:
        return len(self._studies)

    def count_open(self) -> int:
        """Return the number of studies that wait for their answer, or for its delivery."""
        places = (self._state.answering, self._state.sending)
        return len(self._studies) + sum(sum(1 for _ in place.iterdir()) for place in places)

    def has_room(self, study: str) -> bool:
        """Return whether an image of a study may still come in."""
        return study in self._studies or self.count_open() < self._most

    def add(self, file: Path, study: str, instance: str) -> bool:
        """Take a file that was written; one of the same instance that waits already is replaced.

        Returns:
            Whether there was room for its study; else nothing was done.
        """
        with self._lock:
            if not self.has_room(study):
                return False
            images = self._state.received / study / "images"
            images.mkdir(parents=True, exist_ok=True)
            target = images / f"{instance}.dcm"
            replaced = target.stat().st_size if target.exists() else None
            added = file.stat().st_size
            durable.move(file, target)
            if study not in self._studies:
                durable.flush_to_disk(images.parent)
                durable.flush_to_disk(self._state.received)
            self._state.change_bytes(added - (replaced or 0))
            arrival = self._studies.setdefault(study, Arrival(0.0, 0))
            arrival.last = time.monotonic()
            arrival.images += replaced is None
            return True

    def claim_quiet(self, seconds: float) -> Case | None:
        """Take the study that has been quiet for longest, if it has for so many seconds, to answer it."""
        with self._lock:
            busy = {case.study for case in self._state.list_cases(self._state.answering)}
            quiet = [
                (arrival.last, study)
                for study, arrival in self._studies.items()
                if time.monotonic() - arrival.last >= seconds and study not in busy
            ]
            if not quiet:
                return None
            _, study = min(quiet)
            case = self._state.claim(study)
            del self._studies[study]
            return case
