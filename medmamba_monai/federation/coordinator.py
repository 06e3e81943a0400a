"""The server's part of a federated cross-validation: the rounds of every fold, the best of them, and its test.

NVFlare's averaging is used, its FedAvg is not: that knows no folds, no sites that must agree, and waits for every site.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from medmamba_monai.core.errors import UserError
from medmamba_monai.federation.agreement import KEY, SHARED, Facts, check_agreement
from medmamba_monai.federation.averaging import Averaging
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.progress import Progress, Weights
from medmamba_monai.federation.record import FederationRecord
from medmamba_monai.federation.site_worker import CHECK, EVALUATE, START, TRAIN, VALIDATE, Answer

Ask = Callable[[str, Weights | None, int, int, Sequence[str]], dict[str, Answer]]
"""Asks sites with a task, the common weights, fold and round; gives the answers in time, by site."""

SCORE = "validation_auc"
"""What decides which round is best: its mean over the sites, weighted by their images."""


class Coordinator:
    """Lets sites train all folds together; one that was stopped goes on after the last round that the record has.

    Args:
        plan: of the federation.
        sites: names of all sites.
        ask: asks sites.
        record: what keeps the results.
        list_gone: tells which sites are gone, and are not asked until they are back.
        averaging: averages what sites send; None for plain weights.

    Raises:
        UserError: ``min_sites`` are more than there are.
    """

    def __init__(
        self,
        plan: Plan,
        sites: Sequence[str],
        ask: Ask,
        record: FederationRecord,
        list_gone: Callable[[], Collection[str]] = tuple,
        averaging: Averaging | None = None,
    ) -> None:
        self.plan, self.sites, self.record = plan, sorted(sites), record
        self.needed = len(self.sites) if plan.options.min_sites is None else plan.options.min_sites
        if self.needed > len(self.sites):
            raise UserError(f"--min_sites {self.needed}: there are {len(self.sites)} sites, {', '.join(self.sites)}")
        self._send, self._list_gone = ask, list_gone
        self._averaging = averaging or Averaging()
        self._facts: dict[str, Facts] = {}

    def run(self) -> None:
        """Check that the sites agree, then train and test each fold that is not tested yet.

        Raises:
            UserError: sites do not agree, or fewer than ``min_sites`` answered in time.
        """
        self._ask(CHECK, None, 0, 0)
        for fold in self._choose_folds():
            if self.record.is_tested(fold):
                continue
            progress = self._train_fold(fold)
            tested = self._ask(EVALUATE, progress.kept, fold, progress.best)
            self.record.add_test(fold, progress.best, *self._average_metrics(tested, fold, "test"))
        self.record.finish()

    def _choose_folds(self) -> list[int]:
        number = min(int(facts[SHARED]["num_folds"]) for facts in self._facts.values())
        folds = self.plan.options.folds
        if wrong := [fold for fold in folds or [] if not 0 <= fold < number]:
            raise UserError(f"--folds {wrong[0]}: the sites have the folds 0 to {number - 1}")
        return list(range(number)) if folds is None else folds

    def _train_fold(self, fold: int) -> Progress:
        progress = self._find_progress(fold)
        for number in range(progress.number + 1, self.plan.options.rounds + 1):
            trained = self._ask(TRAIN, progress.weights, fold, number)
            self.record.add_round(fold, number, *self._average_metrics(trained, fold, "train"))
            weights = self._averaging.add(progress.weights, self._average_updates(trained, fold))
            judged = self._ask(VALIDATE, weights, fold, number)
            by_site, mean = self._average_metrics(judged, fold, "validation")
            self.record.add_round(fold, number, by_site, mean)
            progress = progress.add_round(weights, mean.get(SCORE, -math.inf))
            self.record.keep_progress(fold, progress)
        return progress

    def _find_progress(self, fold: int) -> Progress:
        """Return how far a fold has come.

        Raises:
            UserError: what is kept is encrypted with another key than the sites have: they would read noise.
        """
        key = str(next(iter(self._facts.values())).get(KEY, ""))
        found = self.record.find_progress(fold)
        if found is None:
            return Progress(self._start(fold), key=key)
        if found.key != key:
            raise UserError(
                f"fold {fold}: the weights after round {found.number} are encrypted with another key than the sites "
                "have now; give the sites the startup kits back with which the federation began (on one machine: the "
                "folder startup in nvflare of the results), or begin anew with another --run_name"
            )
        return found

    def _start(self, fold: int) -> Weights:
        """Return the weights with which the first site that answers begins; all sites have the same seed."""
        for site in self._find_present():
            answer = self._send(START, None, fold, 0, [site]).get(site)
            if answer is not None and answer.weights is not None:
                return answer.weights
        raise UserError(f"fold {fold}: no site answered with weights to start from; look into the logs of the sites")

    def _find_present(self) -> list[str]:
        gone = self._list_gone()
        return [site for site in self.sites if site not in gone]

    def _ask(self, task: str, weights: Weights | None, fold: int, number: int) -> dict[str, Answer]:
        """Ask all sites that are not gone, and check that those which answer agree.

        Raises:
            UserError: too few answered, or one does not agree with the others.
        """
        where, present = f"fold {fold}, round {number}, {task}", self._find_present()
        self._check_number(present, f"{where}: {len(present)} of {len(self.sites)} sites are there")
        answers = self._send(task, weights, fold, number, present)
        new = {site: answer.facts for site, answer in answers.items() if site not in self._facts}
        self._facts.update(new)
        if self._facts:
            check_agreement(self._facts)
            self.record.join(new)
        self._check_number(answers, f"{where}: {len(answers)} of {len(self.sites)} sites answered")
        if silent := [site for site in self.sites if site not in answers]:
            self.record.note_silent(fold, number, task, silent)
        return answers

    def _check_number(self, found: Collection[str], said: str) -> None:
        if len(found) >= self.needed:
            return
        gone, options = self._list_gone(), self.plan.options
        reasons = [
            f"site {site} is gone, with no sign of life for {options.lost_after} s"
            if site in gone
            else f"site {site} failed, or took more than {options.timeout} s"
            for site in self.sites
            if site not in found
        ]
        raise UserError(
            f"{said}, needed are {self.needed} (--min_sites): {', '.join(reasons)}; look into the logs of these sites"
        )

    def _average_updates(self, answers: Mapping[str, Answer], fold: int) -> Weights:
        updates = {site: answer.weights for site, answer in answers.items() if answer.weights is not None}
        return self._averaging.average(updates, {site: self._count(site, "train", fold) for site in updates})

    def _average_metrics(
        self, answers: Mapping[str, Answer], fold: int, part: str
    ) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
        """Return the finite metrics of a part by site, and their means weighted by images of it."""
        by_site = {
            site: {
                name: value
                for name, value in answers[site].metrics.items()
                if name.startswith(f"{part}_") and math.isfinite(value)
            }
            for site in sorted(answers)
        }
        return by_site, average_metrics(by_site, {site: self._count(site, part, fold) for site in by_site})

    def _count(self, site: str, part: str, fold: int) -> int:
        return int(self._facts[site]["images"][part][fold])


def average_metrics(by_site: Mapping[str, Mapping[str, float]], images: Mapping[str, int]) -> dict[str, float]:
    """Return the mean of each metric over the sites where it has a value, weighted by their images.

    That of areas under the curve is not the area under the curve of all images: scores of one site are not compared
    with those of another, for which predictions would have to leave the sites.

    Example:
        >>> average_metrics({"a": {"auc": 0.5}, "b": {"auc": 1.0}}, {"a": 10, "b": 30})
        {'auc': 0.875}
    """
    means = {}
    for name in sorted({name for values in by_site.values() for name in values}):
        found = {site: values[name] for site, values in by_site.items() if name in values}
        if weight := sum(images[site] for site in found):
            means[name] = float(np.dot([images[site] for site in found], list(found.values())) / weight)
    return means
