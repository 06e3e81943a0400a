"""The time of a search: what is spent of it, what is left, and how fast this machine really is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


class Budget:
    """A time to compute in; that in which nothing ran, because the search lay stopped, does not count.

    Args:
        seconds: the whole budget.
        spent: what earlier starts spent of it.
        clock: what tells the seconds.
    """

    def __init__(self, seconds: float, spent: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._spent = spent
        self._clock = clock
        self._began = clock()

    @property
    def spent(self) -> float:
        """Seconds that were computed in."""
        return self._spent + self._clock() - self._began

    @property
    def left(self) -> float:
        """Seconds that are left; negative once the budget is exceeded."""
        return self.seconds - self.spent


@dataclass
class Pace:
    """What steps took beside what the plan said that they would, to correct what it says of those to come.

    Attributes:
        taken: planned and real seconds of each step that has ended, by the name of its candidate.
    """

    taken: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def note(self, name: str, planned: float, seconds: float) -> None:
        """Remember a step that has ended."""
        self.taken.setdefault(name, []).append((planned, seconds))

    def correct(self, name: str, planned: float) -> float:
        """Return the seconds of a step to come: as much above or below the plan as this candidate's were, or all were.

        Args:
            name: of the candidate; one that has not run yet is taken to be as the others.
            planned: what the plan says.
        """
        return planned * self.compute_factor(name)

    def compute_factor(self, name: str = "") -> float:
        """Return real over planned seconds of a candidate's steps, or of all where it had none; 1 before the first."""
        steps = self.taken.get(name) or [step for steps in self.taken.values() for step in steps]
        planned = sum(step[0] for step in steps)
        return sum(step[1] for step in steps) / planned if planned > 0 else 1.0


@dataclass(frozen=True)
class Scope:
    """What of the finals and the comparison still fits in the time.

    Attributes:
        finalists: names of those that stay, the best first.
        folds: how many folds each of them gets.
        with_baselines: whether the time of the baselines is still kept for them.
    """

    finalists: tuple[str, ...]
    folds: int
    with_baselines: bool


def fit_scope(
    finalists: Sequence[str],
    num_folds: int,
    steps: Mapping[str, Sequence[float]],
    left: float,
    baselines: float,
    with_baselines: bool = True,
    at_once: float = 1,
) -> Scope:
    """Give up what does not fit: finalists from the worst, then the baselines, then folds from the last.

    Baselines for which there is no time even beside one finalist go first, as nothing would be gained by keeping it.
    Folds come last because each is a member of the ensemble that is the answer; one finalist with one fold always
    stays, and so does what is finished.

    Args:
        finalists: their names, the best first.
        num_folds: how many folds each is to get.
        steps: seconds of each fold of each finalist, by its name; 0 of those that are finished.
        left: seconds that are left for the finals and the baselines.
        baselines: seconds of the baselines.
        with_baselines: whether they were still kept.
        at_once: how many folds run at a time.
    """

    def need(names: Sequence[str], folds: int | None = None) -> float:
        return sum_at_once([seconds for name in names for seconds in steps[name][:folds]], at_once)

    staying = list(finalists)
    kept = with_baselines and need(staying[:1]) + baselines <= left
    extra = baselines if kept else 0.0
    while len(staying) > 1 and need(staying[-1:]) > 0 and need(staying) + extra > left:
        staying.pop()
    folds = num_folds
    while folds > 1 and need(staying, folds) > left and any(steps[name][folds - 1] for name in staying):
        folds -= 1
    return Scope(tuple(staying), folds, kept)


def sum_at_once(steps: Sequence[float], at_once: float) -> float:
    """Return the seconds of steps of which so many run at a time: at least those of the longest.

    Example:
        >>> [sum_at_once([4.0, 2.0, 2.0], at_once) for at_once in (1, 2, 3)]
        [8.0, 4.0, 4.0]
    """
    return max(max(steps, default=0.0), sum(steps) / at_once)
