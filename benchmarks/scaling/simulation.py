"""Many folds on many workers, simulated: list scheduling, and one store that serves the folds one after the other.

A worker takes the next fold as soon as it is free. A fold behaves as the product does: at its beginning it waits a
bounded time for the store; each epoch it logs to its folder and goes on, while what is pending is sent behind it, one
sending at a time; at its end it waits a bounded time again. The store takes what it is sent in the order in which it
comes, and is busy with each for as long as was measured where most were sent a second.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from medmamba_monai.tracking.run import END_SECONDS, START_SECONDS

SAMPLE_SECONDS = 10.0
"""Every so often a fold logs a sample of its machine, which is sent with its epoch."""

TOGETHER = 100
"""Entries of metrics that are sent in one call."""

CALLS_MEASURED = 3
"""Calls of the measured epoch: the run is asked for before and after its entries, which are sent together."""


class Service(NamedTuple):
    """How long a store is busy, seconds.

    Attributes:
        begin: with the beginning of a fold.
        epoch: with an epoch whose entries are sent in one call.
        end: with the end of a fold.
        artifacts: for as long the end of a fold waits for what it uploads, beside.
    """

    begin: float
    epoch: float
    end: float
    artifacts: float = 0.0

    def send(self, entries: int) -> float:
        """Return how long the store is busy with a number of entries."""
        return self.epoch * (2 + math.ceil(entries / TOGETHER)) / CALLS_MEASURED


class Training(NamedTuple):
    """What a fold does.

    Attributes:
        epochs: their number.
        epoch_seconds: of one.
        start_seconds: until its process has imported what it needs.
    """

    epochs: int
    epoch_seconds: float
    start_seconds: float

    @property
    def seconds(self) -> float:
        """What it would take without a store."""
        return self.start_seconds + self.epochs * self.epoch_seconds


class Outcome(NamedTuple):
    """What came of a simulation.

    Attributes:
        seconds: until the last fold has ended.
        efficiency: share of the workers' time in which folds train.
        waiting: share of the workers' time in which folds wait for the store.
        store_busy: share of the time in which the store is busy.
        longest_lag: seconds from the end of an epoch until the store has it, at most.
    """

    seconds: float
    efficiency: float
    waiting: float
    store_busy: float
    longest_lag: float


@dataclass
class _Fold:
    training: Training
    epoch: int = 0
    entries: float = 0.0
    oldest: float | None = None
    sending: bool = False
    ended: float | None = None
    left: bool = False


@dataclass
class _Cluster:
    service: Service
    waiting: deque[Training]
    events: list[tuple[float, int, str, _Fold]] = field(default_factory=list)
    count: itertools.count[int] = field(default_factory=itertools.count)
    store_free: float = 0.0
    store_busy: float = 0.0
    waited: float = 0.0
    longest_lag: float = 0.0
    last_left: float = 0.0

    def plan(self, when: float, what: str, fold: _Fold) -> None:
        heapq.heappush(self.events, (when, next(self.count), what, fold))

    def serve(self, now: float, seconds: float) -> float:
        """Let the store do something as soon as it can; returns when it will be done."""
        self.store_free = max(self.store_free, now) + seconds
        self.store_busy += seconds
        return self.store_free

    def take_next(self, now: float) -> None:
        if self.waiting:
            fold = _Fold(self.waiting.popleft())
            self.plan(now + fold.training.start_seconds, "begin", fold)

    def begin(self, now: float, fold: _Fold) -> None:
        done = self.serve(now, self.service.begin)
        fold.sending = True
        self.plan(done, "sent", fold)
        waits = min(done - now, START_SECONDS)
        self.waited += waits
        self.plan(now + waits + fold.training.epoch_seconds, "epoch", fold)

    def end_epoch(self, now: float, fold: _Fold) -> None:
        fold.epoch += 1
        fold.entries += 1 + fold.training.epoch_seconds / SAMPLE_SECONDS
        fold.oldest = now if fold.oldest is None else fold.oldest
        if fold.epoch == fold.training.epochs:
            fold.ended = now
            self.plan(now + END_SECONDS + self.service.artifacts, "leave", fold)
        else:
            self.plan(now + fold.training.epoch_seconds, "epoch", fold)
        if not fold.sending:
            self.send(now, fold)

    def send(self, now: float, fold: _Fold) -> None:
        """Send what is pending; with it the end, where the fold has come to it."""
        assert fold.oldest is not None
        seconds = self.service.send(round(fold.entries)) + (self.service.end if fold.ended is not None else 0.0)
        done = self.serve(now, seconds)
        self.longest_lag = max(self.longest_lag, done - fold.oldest)
        fold.entries, fold.oldest, fold.sending = 0.0, None, True
        self.plan(done, "sent" if fold.ended is None else "leave", fold)

    def note_sent(self, now: float, fold: _Fold) -> None:
        fold.sending = False
        if fold.oldest is not None:
            self.send(now, fold)

    def leave(self, now: float, fold: _Fold) -> None:
        """Let the worker of a fold take the next one: all is sent, or it has waited for long enough."""
        if not fold.left:
            assert fold.ended is not None
            fold.left, self.last_left = True, now
            self.waited += now - fold.ended
            self.take_next(now)


def simulate(trainings: Sequence[Training], workers: int, service: Service) -> Outcome:
    """Run folds on workers.

    Args:
        trainings: of the folds, in the order in which they are taken.
        workers: how many folds run at a time.
        service: of the store that all of them log to.
    """
    cluster = _Cluster(service, deque(trainings))
    for _ in range(min(workers, len(trainings))):
        cluster.take_next(0.0)
    happens = {"begin": cluster.begin, "epoch": cluster.end_epoch, "sent": cluster.note_sent, "leave": cluster.leave}
    while cluster.events:
        now, _, what, fold = heapq.heappop(cluster.events)
        happens[what](now, fold)
    seconds = cluster.last_left
    whole = workers * seconds
    return Outcome(
        seconds=seconds,
        efficiency=sum(training.seconds for training in trainings) / whole,
        waiting=cluster.waited / whole,
        store_busy=cluster.store_busy / max(seconds, cluster.store_free),
        longest_lag=cluster.longest_lag,
    )
