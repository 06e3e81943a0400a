"""What the steps of a plan will take where it trains, in seconds, from what was measured there."""

from __future__ import annotations

import math

from medmamba_monai.auto.budget import sum_at_once
from medmamba_monai.auto.plan import Candidate, Plan

MARGIN = 0.15
"""Share of the budget that a plan leaves free: machines are not always as fast as they were when they were measured."""


def count_epochs(plan: Plan, candidate: Candidate) -> int:
    """Return the epochs of a candidate's training on one fold; the one look of a probe counts as an epoch."""
    return 1 if candidate.probe is not None else candidate.epochs or plan.epochs


def count_epochs_of_rounds(plan: Plan, candidate: Candidate) -> list[int]:
    """Return the epoch at which each round of the race ends for a candidate; the last is that of its whole training."""
    epochs = count_epochs(plan, candidate)
    return [*(max(1, math.floor(share * epochs + 0.5)) for share in plan.rounds), epochs]


def estimate_training(plan: Plan, candidate: Candidate, epochs: int | None = None) -> float:
    """Return the seconds of one process that trains a candidate on one fold.

    Args:
        plan: that the candidate is of.
        candidate: what is trained.
        epochs: those that are left to train; by default all.
    """
    left = count_epochs(plan, candidate) if epochs is None else epochs
    return plan.costs.start + left * candidate.seconds_per_epoch


def estimate_fold(plan: Plan, candidate: Candidate) -> float:
    """Return the seconds of training a candidate on one fold and evaluating it on the fold's test part."""
    return estimate_training(plan, candidate) + plan.costs.evaluation


def estimate_folds(plan: Plan, candidate: Candidate, folds: int, at_once: float) -> float:
    """Return the seconds of a candidate's cross-validation with so many folds still to train, and of its review."""
    return sum_at_once([estimate_fold(plan, candidate)] * folds, at_once) + plan.costs.review


def count_staying(racing: int, finalists: int) -> int:
    """Return how many of the candidates that ran a round stay: the better half, and never fewer than the finalists."""
    return max(min(racing, finalists), math.ceil(racing / 2))


def estimate_race(plan: Plan) -> float:
    """Return the seconds of the race on fold 0; in each round the slowest candidates are taken to stay, to be safe."""
    probes = [candidate for candidate in plan.candidates if candidate.probe is not None]
    racing = sorted(plan.trained_candidates, key=lambda candidate: -candidate.seconds_per_epoch)
    seconds = plan.costs.imports + sum(estimate_fold(plan, probe) for probe in probes)
    for number in range(len(plan.rounds) + 1):
        steps = []
        for candidate in racing:
            ends = [0, *count_epochs_of_rounds(plan, candidate)]
            steps.append(estimate_training(plan, candidate, ends[number + 1] - ends[number]))
        seconds += sum_at_once(steps, plan.at_once)
        racing = racing[: count_staying(len(racing), plan.finalists)]
    return seconds


def estimate_finals(plan: Plan) -> float:
    """Return the seconds of training the finalists on the folds after the first: the slowest ones, to be safe."""
    slowest = sorted((estimate_fold(plan, candidate) for candidate in plan.candidates), reverse=True)[: plan.finalists]
    evaluated = plan.finalists * (plan.costs.evaluation + plan.costs.review)  # of fold 0, and of all together
    return sum_at_once(slowest * (plan.folds_in_time - 1), plan.at_once) + evaluated


def estimate_baselines(plan: Plan, at_once: float) -> float:
    """Return the seconds of the cross-validations that the winner is compared with and that there is time for.

    Args:
        plan: that they are of.
        at_once: how many folds run at a time.
    """
    return sum(estimate_folds(plan, baseline, plan.folds_in_time, at_once) for baseline in plan.baselines_in_time)


def estimate_plan(plan: Plan) -> dict[str, float]:
    """Return the seconds of each step of a plan, by its name."""
    return {
        "look and plan": plan.looked_seconds,
        "race": estimate_race(plan),
        "finals": estimate_finals(plan),
        "baselines": estimate_baselines(plan, plan.at_once),
        "report and package": plan.costs.package,
    }
