"""The record of a search, ``race.json``: what ran, what it took, who left and why; replaced whole at each change."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from medmamba_monai.auto.budget import Budget, Pace
from medmamba_monai.auto.plan import Plan
from medmamba_monai.auto.standings import Score
from medmamba_monai.core.documents import read_document
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json

FILE_NAME = "race.json"

HEARTBEAT_SECONDS = 5.0
"""How much computed time a killed search forgets at most."""

Phase = Literal["race", "finals", "baselines"]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Step(_Document):
    """A process that has ended.

    Attributes:
        name: of the candidate.
        fold: that it trained on.
        phase: of the search.
        epochs: up to which it trained.
        planned: seconds that the plan gives it.
        seconds: that it took.
    """

    name: str
    fold: int
    phase: Phase
    epochs: int
    planned: float
    seconds: float


class Place(_Document):
    """Where a candidate stood at the end of a round.

    Attributes:
        name: of the candidate.
        epochs: that it had trained.
        score: on the validation part of fold 0.
        stays: whether it went on.
    """

    name: str
    epochs: int
    score: Score
    stays: bool

    def describe(self) -> str:
        """Return the place as a line says it."""
        scores = f"AUC {self.score.auc:.4f}, log loss {self.score.log_loss:.4f}"
        return f"{self.name} {scores}{'' if self.stays else ' (leaves)'}"


class Record(_Document):
    """What happened until now.

    Attributes:
        candidates: names of the plan's candidates, which must be the same to go on.
        rounds_at: the shares of its rounds, which must be, too.
        spent: seconds of computing.
        steps: processes that have ended, in order.
        rounds: the places of each round that has ended, the best first.
        failures: why a candidate or a baseline could not be trained, by its name.
        finalists: names of the finalists that are left, the best first; empty before the race has ended.
        left: why a candidate did not go on, in a sentence, by its name.
        folds: how many folds finalists get in the time that is left, as it looks now.
        most_folds: how many they can get at all, once one was stopped or failed; None before that, for all.
        with_baselines: whether the time of the baselines is kept for them.
        given_up: why something was given up for lack of time, by what it is.
    """

    candidates: list[str]
    rounds_at: list[float]
    spent: float = 0.0
    steps: list[Step] = []
    rounds: list[list[Place]] = []
    failures: dict[str, str] = {}
    finalists: list[str] = []
    left: dict[str, str] = {}
    folds: int
    most_folds: int | None = None
    with_baselines: bool = True
    given_up: dict[str, str] = {}

    def sum_seconds(self, name: str) -> float:
        """Return the seconds that all processes of a candidate took."""
        return sum(step.seconds for step in self.steps if step.name == name)

    def describe_last_score(self, name: str) -> str:
        """Return the validation AUC of a candidate in the last round that it ran, in words."""
        places = (place for places in reversed(self.rounds) for place in places if place.name == name)
        last = next(places, None)
        return "its validation AUC" if last is None else f"validation AUC {last.score.auc:.4f}"


class Ledger:
    """The record together with the clock, kept on disk as the search goes.

    Args:
        folder: of the search.
        plan: that is carried out; a race that begins has spent what looking and planning took.

    Raises:
        UserError: the folder holds the race of another plan.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.path = folder / FILE_NAME
        self.record = _read_or_begin(self.path, plan)
        self.budget = Budget(plan.budget_seconds, self.record.spent)
        self._written = time.monotonic()

    @property
    def pace(self) -> Pace:
        """How fast the steps were."""
        pace = Pace()
        for step in self.record.steps:
            pace.note(step.name, step.planned, step.seconds)
        return pace

    def save(self) -> None:
        """Replace the file."""
        self.record.spent = self.budget.spent
        write_json(self.path, self.record.model_dump(mode="json"))
        self._written = time.monotonic()

    def beat(self) -> None:
        """Replace the file where that was last done a while ago, so that a kill loses little of the time spent."""
        if time.monotonic() - self._written > HEARTBEAT_SECONDS:
            self.save()

    def give_up(self, what: str, why: str) -> None:
        """Remember what was given up and why; a later reason replaces an earlier one."""
        self.take_back(what)
        self.record.given_up[what] = why

    def take_back(self, what: str) -> None:
        """Forget that something was given up."""
        self.record.given_up.pop(what, None)


def _read_or_begin(path: Path, plan: Plan) -> Record:
    names = [candidate.name for candidate in plan.candidates]
    if not path.is_file():
        return Record(candidates=names, rounds_at=plan.rounds, folds=plan.num_folds, spent=plan.looked_seconds)
    record = read_document(path, Record)
    for what, old, new in (("candidates", record.candidates, names), ("rounds", record.rounds_at, plan.rounds)):
        if old != new:
            raise UserError(
                f"{path} is of a plan with the {what} {old}, and the plan has {new} now: put them back to go on, or "
                "choose another --output for the changed plan"
            )
    return record
