"""Trainings of a search, one or several at a time, on this machine or as jobs of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from medmamba_monai.auto.contenders import Contender, estimate_step
from medmamba_monai.auto.estimate import count_epochs
from medmamba_monai.auto.plan import Plan
from medmamba_monai.auto.record import Ledger, Phase, Step
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.signals import say
from medmamba_monai.cross_validation.fold_job import FoldJob
from medmamba_monai.cross_validation.fold_server import FoldServer
from medmamba_monai.cross_validation.launchers.watch import Scheduler
from medmamba_monai.cross_validation.together import Part, run_parts
from medmamba_monai.training.handlers.epoch_progress import format_seconds


@dataclass(frozen=True)
class Training:
    """What a process does: it trains a fold up to an epoch, or to its end, after which it evaluates it.

    Attributes:
        contender: what is trained.
        fold: its number.
        until: epoch after which it pauses; None for none.
    """

    contender: Contender
    fold: int
    until: int | None = None


@dataclass(frozen=True)
class Failure:
    """A training that failed.

    Attributes:
        training: which one.
        reason: in words.
    """

    training: Training
    reason: str


class OutOfTime(Exception):
    """The budget is spent, and the process that was running has been stopped."""


class Trainer:
    """What runs the trainings of a search and notes what they took.

    Args:
        plan: that is carried out.
        ledger: record and budget.
        server: what forks the processes; None starts each anew.
        scheduler: runs trainings as jobs; None for this machine.
    """

    def __init__(self, plan: Plan, ledger: Ledger, server: FoldServer | None, scheduler: Scheduler | None) -> None:
        self.plan, self.ledger, self.server, self.scheduler = plan, ledger, server, scheduler

    def estimate_closing(self) -> float:
        """Return the seconds that the review of the winner, the report and the package need."""
        return self._correct_cost(self.plan.costs.review) + self.estimate_report()

    def estimate_report(self) -> float:
        """Return the seconds that the report and the package need."""
        return self._correct_cost(self.plan.costs.package)

    def _correct_cost(self, planned: float) -> float:
        """Return a cost as steps took it until now, and never less than planned."""
        return planned * max(self.ledger.pace.compute_factor(), 1.0)

    def train(self, trainings: Sequence[Training], phase: Phase, where: str) -> list[Failure]:
        """Run trainings, several only as jobs, and note what they took; returns those that failed.

        Args:
            trainings: what is trained.
            phase: of the search.
            where: in the search, for who reads along.

        Raises:
            OutOfTime: the budget was spent meanwhile, and this is not the first fold of all.
        """
        if not trainings:
            return []
        planned = {one: estimate_step(self.plan, one.contender, one.fold, one.until) for one in trainings}
        for one in trainings:
            self._announce(one, planned[one], where)

        may_stop = phase == "baselines" or any(one.fold > 0 for one in trainings)

        def look() -> None:
            self.ledger.beat()
            closing = self.estimate_report() if phase == "baselines" else self.estimate_closing()
            if may_stop and self.ledger.budget.left < closing:
                raise OutOfTime

        def note(one: Training, seconds: float) -> None:
            epochs = one.contender.count_trained(one.fold)
            self.ledger.record.steps.append(
                Step(
                    name=one.contender.name,
                    fold=one.fold,
                    phase=phase,
                    epochs=epochs,
                    planned=planned[one],
                    seconds=seconds,
                )
            )
            self.ledger.save()

        if self.scheduler is None or trainings[0].contender.is_local:
            return _train_here(trainings[0], self.server, look, note)
        return _train_there(trainings, self.scheduler, look, note)

    def _announce(self, training: Training, planned: float, where: str) -> None:
        contender, fold = training.contender, training.fold
        trained = contender.count_saved(fold)
        last = training.until or count_epochs(self.plan, contender.candidate)
        seconds = format_seconds(self.ledger.pace.correct(contender.name, planned))
        left, whole = format_seconds(self.ledger.budget.left), format_seconds(self.ledger.budget.seconds)
        epochs = f"epochs {trained + 1} to {last}" if trained < last else "evaluation"
        epochs = epochs if contender.candidate.probe is None else "features and probe"
        say(f"[{left} left of {whole}] {where}: {contender.name}, fold {fold}, {epochs}, about {seconds}")


def _train_here(
    training: Training,
    server: FoldServer | None,
    on_look: Callable[[], None],
    on_end: Callable[[Training, float], None],
) -> list[Failure]:
    """Run one training on this machine.

    Args:
        training: what is trained.
        server: what forks the process.
        on_look: called a few times a second; what it raises stops the process.
        on_end: told when it has ended, and the seconds that it took.

    Returns:
        The training, if it failed.
    """
    try:
        taken = training.contender.train(training.fold, training.until, server, on_look)
    except UserError as error:
        return [Failure(training, str(error))]
    on_end(training, taken)
    return []


def _train_there(
    trainings: Sequence[Training],
    scheduler: Scheduler,
    on_look: Callable[[], None],
    on_end: Callable[[Training, float], None],
) -> list[Failure]:
    """Run trainings as jobs, all at once as far as the scheduler lets them.

    Args:
        trainings: what is trained.
        scheduler: of the jobs.
        on_look: called every few seconds; what it raises cancels the jobs.
        on_end: told each training that has ended, and the seconds since its job was first seen at work.

    Returns:
        The trainings that failed.
    """
    parts, owners = [], {}
    for one in trainings:
        one.contender.start()
        parts.append(Part(one.contender.running, [one.fold], {"pause_after": one.until}))
        owners[one.contender.folder.fold(one.fold).path] = one
    failures: list[Failure] = []

    def note_end(job: FoldJob, seconds: float) -> None:
        training = owners[job.directory]
        if reason := training.contender.running.failures.get(training.fold):
            failures.append(Failure(training, f"{training.contender.name}, fold {training.fold}: {reason}"))
        else:
            on_end(training, seconds)

    run_parts(scheduler, parts, note_end, on_look)
    return failures


def divide(trainings: Sequence[Training]) -> list[list[Training]]:
    """Divide trainings of one contender into those that are run together: all on a cluster, else each alone."""
    together = trainings and not trainings[0].contender.is_local
    return [list(trainings)] if together else [[training] for training in trainings]


def describe_folds(folds: Sequence[int], of: int) -> str:
    """Return folds as a line names them, from 1 on.

    Example:
        >>> describe_folds([1], 5), describe_folds([1, 2, 1, 2], 5)
        ('fold 2 of 5', 'folds 2 to 3 of 5')
    """
    first, last = min(folds) + 1, max(folds) + 1
    return f"fold {first} of {of}" if first == last else f"folds {first} to {last} of {of}"
