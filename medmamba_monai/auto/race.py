"""The race: candidates on fold 0 under successive halving, then the finalists on all folds, within the budget.

Successive halving (Jamieson and Talwalkar 2016, Non-stochastic best arm identification and hyperparameter
optimization): all candidates train a share of their epochs, the worse half leaves, the others go on. A training pauses
between two rounds and goes on as if it had not, so that what stays is trained as it would have been alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from medmamba_monai.auto.budget import fit_scope
from medmamba_monai.auto.contenders import Contender, estimate_step
from medmamba_monai.auto.estimate import count_epochs_of_rounds, count_staying, estimate_baselines
from medmamba_monai.auto.plan import Plan
from medmamba_monai.auto.record import Ledger, Place
from medmamba_monai.auto.scores import score_first_fold, score_folds
from medmamba_monai.auto.standings import rank_scores
from medmamba_monai.auto.trainings import Failure, OutOfTime, Trainer, Training, describe_folds
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.signals import say
from medmamba_monai.cross_validation.fold_server import FoldServer
from medmamba_monai.cross_validation.launchers.watch import Scheduler
from medmamba_monai.training.handlers.epoch_progress import format_seconds

TIME_OF_BASELINES = "the time of the baselines"
"""What the record says that was given up where finalists need the time; a baseline may run all the same."""


class Race:
    """What runs the candidates of a plan: one process after the other, or on a cluster all of a round together.

    Args:
        plan: that is carried out.
        contenders: its candidates by name, in the order of the plan.
        ledger: record and budget.
        server: what forks the processes; None starts each anew.
        scheduler: runs trainings as jobs; None for this machine.
    """

    def __init__(
        self,
        plan: Plan,
        contenders: Mapping[str, Contender],
        ledger: Ledger,
        server: FoldServer | None = None,
        scheduler: Scheduler | None = None,
    ) -> None:
        self.plan = plan
        self.contenders = contenders
        self.ledger = ledger
        self.trainer = Trainer(plan, ledger, server, scheduler)

    @property
    def at_once(self) -> float:
        """How many trainings run at a time."""
        there = next((one for one in self.contenders.values() if not one.is_local), None)
        if there is None:
            return 1
        jobs = there.running.plan.options.jobs
        return jobs if isinstance(jobs, int) else math.inf

    # the rounds on fold 0

    def run_rounds(self) -> None:
        """Run the rounds that have not ended, and name the finalists.

        Raises:
            UserError: no candidate can be trained.
        """
        record, shares = self.ledger.record, [*self.plan.rounds, 1.0]
        if record.finalists:
            return
        racing = self._list_racing()
        for number in range(len(record.rounds), len(shares)):
            self._run_round(number, racing)
            racing = self._end_round(number, self._leave_out(racing))
        record.finalists = racing[: self.plan.finalists]
        self.ledger.save()

    def _list_racing(self) -> list[str]:
        last = self.ledger.record.rounds[-1:]
        names = [place.name for places in last for place in places] or list(self.contenders)
        return self._leave_out(names)

    def _leave_out(self, names: Sequence[str]) -> list[str]:
        """Return the names of those that neither failed nor left."""
        record = self.ledger.record
        return [name for name in names if name not in record.failures and name not in record.left]

    def _run_round(self, number: int, racing: Sequence[str]) -> None:
        together = []
        for name in racing:
            contender = self.contenders[name]
            ends = count_epochs_of_rounds(self.plan, contender.candidate)
            if contender.has_finished(0) or contender.count_trained(0) >= ends[number]:
                continue
            until = None if number == len(self.plan.rounds) or contender.candidate.probe else ends[number]
            if not self._has_time(contender, until, racing):
                self._dismiss(name, f"in round {number + 1} no time was left for it")
                self.ledger.give_up(f"candidate {name}", self.ledger.record.left[name])
                continue
            if contender.is_local:
                self._train_round([Training(contender, 0, until)], number)
            else:
                together.append(Training(contender, 0, until))
        self._train_round(together, number)
        if not self._leave_out(racing):
            self._forget_failures("no candidate could be trained")

    def _train_round(self, trainings: Sequence[Training], number: int) -> None:
        for failure in self.trainer.train(trainings, "race", f"round {number + 1} of {len(self.plan.rounds) + 1}"):
            self._fail(failure)

    def _has_time(self, contender: Contender, until: int | None, racing: Sequence[str]) -> bool:
        """Say whether a step leaves time to train one of the others on fold 0 to its end; true where it is alone."""
        others = [self.contenders[name] for name in self._leave_out(racing) if name != contender.name]
        trained = contender.count_trained(0)
        ran = [other for other in others if other.has_finished(0) or other.count_trained(0) > trained]
        if not ran:
            return True
        needed = min(self._estimate_fold(other.name, 0) for other in ran)
        step = self.ledger.pace.correct(contender.name, estimate_step(self.plan, contender, 0, until))
        return step + needed + self.trainer.estimate_closing() <= self.ledger.budget.left

    def _end_round(self, number: int, racing: Sequence[str]) -> list[str]:
        """Rank those that ran, and return who stays, the best first.

        Before the last round, a probe neither leaves nor takes the place of a network whose training has not ended.
        """
        scores = {name: score_first_fold(self.contenders[name]) for name in racing}
        ranked = rank_scores({name: scores[name] for name in self.contenders if name in scores})
        last = number == len(self.plan.rounds)
        probes = [] if last else [name for name in ranked if self.contenders[name].candidate.probe is not None]
        trained = [name for name in ranked if name not in probes]
        stay = self.plan.finalists if last else count_staying(len(trained), self.plan.finalists)
        staying = {*probes, *trained[:stay]}
        places = [
            Place(
                name=name,
                epochs=self.contenders[name].count_trained(0),
                score=scores[name],
                stays=name in staying,
            )
            for name in ranked
        ]
        self.ledger.record.rounds.append(places)
        say(f"round {number + 1}: {'; '.join(place.describe() for place in places)}")
        for rank, place in enumerate(places):
            if not place.stays:
                self._dismiss(place.name, f"{_name_round(number, last)} it was number {rank + 1} of {len(places)}")
        self.ledger.save()
        return [name for name in ranked if name in staying]

    # the finals

    def run_finals(self) -> None:
        """Train the finalists on the other folds, fold by fold, as far as the time goes.

        After each process the estimate is corrected by what it took; what does not fit any more is given up, see
        `fit_scope`, and folds are taken up again where it goes faster than it looked.
        """
        record = self.ledger.record
        while True:
            self._fit()
            trainings = self._find_next()
            if not trainings:
                break
            where = f"finals, {describe_folds([one.fold for one in trainings], record.folds)}"
            try:
                failures = self.trainer.train(trainings, "finals", where)
            except OutOfTime:
                self._stop_finals([one for one in trainings if not one.contender.has_finished(one.fold)])
                failures = []
            for name in reversed(list(record.finalists)):  # if all failed, the best of them is the last and stays
                self._take_failures([one for one in failures if one.training.contender.name == name])
            self.ledger.save()

    def _take_failures(self, failures: Sequence[Failure]) -> None:
        """Go on without a finalist, if a fold of it failed."""
        if failures:
            first = min(failures, key=lambda failure: failure.training.fold)
            self._fail(first)
            self._go_on_without(first.training.contender.name, first.training.fold)

    def _stop_finals(self, stopped: Sequence[Training]) -> None:
        """Let folds that were stopped be the end of the finals; finalists keep those that they have."""
        record = self.ledger.record
        record.folds = record.most_folds = max(stopped[0].fold, 1) if stopped else record.folds
        for one in stopped:
            name, fold = one.contender.name, one.fold
            what = f"folds from {record.folds} on" if one.contender.is_local else f"fold {fold} of {name}"
            self.ledger.give_up(what, f"{name} was stopped in fold {fold}: the budget was spent")

    def _go_on_without(self, name: str, fold: int) -> None:
        """Go on without a finalist that failed in a fold; the last one stays, with the folds before that."""
        record = self.ledger.record
        if len(record.finalists) > 1:
            record.finalists.remove(name)
        elif fold > 0:
            record.folds = record.most_folds = fold
        else:
            record.finalists.clear()
            self._forget_failures("no finalist could be trained")

    def list_folds(self) -> list[int]:
        """Return the folds that all finalists have finished."""
        finished = [set(self.contenders[name].list_finished()) for name in self.ledger.record.finalists]
        return sorted(set.intersection(*finished))

    def _find_next(self) -> list[Training]:
        """Return what is to be trained next: on a cluster all that is left, else one fold."""
        record = self.ledger.record
        folds = [(self.contenders[name], fold) for fold in range(record.folds) for name in record.finalists]
        left = [Training(contender, fold) for contender, fold in folds if not contender.has_finished(fold)]
        there = [training for training in left if not training.contender.is_local]
        return there or left[:1]

    def _fit(self) -> None:
        record, budget = self.ledger.record, self.ledger.budget
        ranked = self._rank_finalists()
        most = record.most_folds or self.plan.num_folds
        steps = {name: [self._estimate_fold(name, fold) for fold in range(most)] for name in ranked}
        pace = self.ledger.pace
        baselines = estimate_baselines(self.plan, self.at_once) * pace.compute_factor()
        left = budget.left - self.trainer.estimate_closing()
        scope = fit_scope(ranked, most, steps, left, baselines, record.with_baselines, self.at_once)
        for name in ranked[len(scope.finalists) :]:
            where = f"{record.describe_last_score(name)} was the lowest of the finalists when the time left"
            self._dismiss(name, f"{where}, {format_seconds(left)}, was too short for all of them")
            self.ledger.give_up(f"finalist {name}", record.left[name])
        if record.with_baselines and not scope.with_baselines and self.plan.baselines_in_time:
            self.ledger.give_up(TIME_OF_BASELINES, "the folds of the finalists need it")
        if scope.folds != record.folds:
            self.ledger.take_back(self._name_folds(record.folds, most))
            if scope.folds < most:
                why = f"{format_seconds(left)} were left for the folds"
                self.ledger.give_up(self._name_folds(scope.folds, most), why)
        record.finalists, record.folds = list(scope.finalists), scope.folds
        record.with_baselines = scope.with_baselines
        self.ledger.save()

    def _name_folds(self, first: int, most: int) -> str:
        return f"folds {first} to {most - 1} of {self.plan.num_folds}"

    def _rank_finalists(self) -> list[str]:
        """Return the finalists, the best first, by the folds that all of them have finished."""
        record = self.ledger.record
        folds = self.list_folds()
        if not folds or len(record.finalists) == 1:
            return list(record.finalists)
        return rank_scores({name: score_folds(self.contenders[name], folds) for name in record.finalists})

    def _estimate_fold(self, name: str, fold: int) -> float:
        contender = self.contenders[name]
        if contender.has_finished(fold):
            return 0.0
        planned = estimate_step(self.plan, contender, fold, None)
        return self.ledger.pace.correct(name, planned)

    def _fail(self, failure: Failure) -> None:
        contender = failure.training.contender
        self.ledger.record.failures[contender.name] = failure.reason
        self.ledger.save()
        contender.end("FAILED", failure.reason)

    def _forget_failures(self, what: str) -> None:
        """End a search that has nobody left, so that its next start tries all of them again.

        Raises:
            UserError: always.
        """
        failures = list(self.ledger.record.failures.values())
        self.ledger.record.failures.clear()
        self.ledger.save()
        raise UserError(
            f"{what}: {'; '.join(failures)}. What went wrong stands above and in the log of each fold; mend that and "
            "start the same command again"
        )

    def _dismiss(self, name: str, reason: str) -> None:
        self.ledger.record.left.setdefault(name, reason)
        self.contenders[name].dismiss(reason)


def _name_round(number: int, last: bool) -> str:
    return "at the end of fold 0" if last else f"in round {number + 1}"
