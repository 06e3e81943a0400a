"""The closing comparison: baselines on the winner's folds, as far as the time goes, and what tests say of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from medmamba_monai.auto.budget import sum_at_once
from medmamba_monai.auto.contenders import Contender, estimate_step
from medmamba_monai.auto.race import TIME_OF_BASELINES, Race
from medmamba_monai.auto.trainings import OutOfTime, Training, describe_folds, divide
from medmamba_monai.cross_validation.hints import format_command
from medmamba_monai.evaluation import Comparison, Model, Predictions, compare, read_predictions
from medmamba_monai.evaluation.reports.comparison import write_comparison
from medmamba_monai.training.handlers.epoch_progress import format_seconds

FEWEST_FOLDS = 2
"""Folds that a test over trainings needs."""


def run_baselines(race: Race, baselines: Mapping[str, Contender], folds: Sequence[int]) -> None:
    """Train each baseline on the winner's folds where its time is left; say what was given up.

    Args:
        race: that chose the winner.
        baselines: by name, in the order of the plan.
        folds: of the winner.
    """
    for name, contender in baselines.items():
        unfinished = [fold for fold in folds if not contender.has_finished(fold)]
        if len(folds) < FEWEST_FOLDS:
            why = f"the winner has {len(folds)} fold, and a comparison needs {FEWEST_FOLDS}"
            race.ledger.give_up(f"baseline {name}", why)
            continue
        steps = [estimate_step(race.plan, contender, fold, None) for fold in unfinished]
        planned = sum_at_once(steps, race.at_once)
        needed = race.ledger.pace.correct(name, planned)
        left = race.ledger.budget.left - race.trainer.estimate_report()
        if unfinished and needed > left:
            why = f"it needs about {format_seconds(needed)}, and {format_seconds(left)} were left"
            race.ledger.give_up(f"baseline {name}", why)
            continue
        race.ledger.take_back(f"baseline {name}")
        race.ledger.take_back(TIME_OF_BASELINES)  # there was some left after all
        race.ledger.record.failures.pop(name, None)
        _run_baseline(race, contender, unfinished, len(folds))
    race.ledger.save()


def _run_baseline(race: Race, contender: Contender, unfinished: Sequence[int], folds: int) -> None:
    for part in divide([Training(contender, fold) for fold in unfinished]):
        try:
            where = f"baseline, {describe_folds([one.fold for one in part], folds)}"
            failures = race.trainer.train(part, "baselines", where)
        except OutOfTime:
            stopped = [one.fold for one in part if not contender.has_finished(one.fold)]
            where = f"fold {', '.join(map(str, stopped))}"
            race.ledger.give_up(f"baseline {contender.name}", f"it was stopped in {where}: the budget was spent")
            contender.end("KILLED", "the budget of the search was spent")
            return
        for failure in failures[:1]:
            race.ledger.record.failures[contender.name] = failure.reason
            contender.end("FAILED", failure.reason)
            return
    _review(race, contender)


def _review(race: Race, contender: Contender) -> None:
    """Give a baseline a report of its own where it has none yet and the time is left."""
    if not contender.folder.review.is_file() and race.ledger.budget.left > race.trainer.estimate_closing():
        contender.start()
        contender.running.summarize(race.ledger.record.sum_seconds(contender.name))
    contender.end("FINISHED")


def compare_with_baselines(
    output: Path, winner: Contender, baselines: Sequence[Contender], resamples: int, seed: int = 0
) -> Comparison | None:
    """Compare the winner with the baselines that have its folds, and write ``comparison/`` beside the race.

    Args:
        output: folder of the search.
        winner: what was chosen.
        baselines: those of the plan.
        resamples: of each bootstrap.
        seed: of the resampling.

    Returns:
        None where no baseline has two of the winner's folds.
    """
    finished = {contender.name: set(contender.list_finished()) for contender in (winner, *baselines)}
    able = [one for one in baselines if len(finished[one.name] & finished[winner.name]) >= FEWEST_FOLDS]
    if not able:
        return None
    folds = sorted(set.intersection(*(finished[contender.name] for contender in (winner, *able))))
    if len(folds) < FEWEST_FOLDS:  # two baselines that were stopped at different times
        able = [max(able, key=lambda one: len(finished[one.name]))]
        folds = sorted(finished[able[0].name] & finished[winner.name])
    models = [Model(one.name, [_read_folds(one, folds)]) for one in (winner, *able)]
    comparison = compare(models, "ensemble", resamples, seed)
    card = winner.running.plan.card
    command = shlex.join(["medmamba-monai", "auto", "--output", output.name])
    write_comparison(output / "comparison", comparison, card.title, command)
    return comparison


def format_baseline_command(contender: Contender) -> str:
    """Return the command that trains a baseline, in the folder of the bundle."""
    plan = contender.running.plan
    values = {"run_name": plan.options.run_name, **plan.logged_parameters()}
    return format_command(values, plan.bundle_root, plan.options.config_files, plan.options.overrides)


def _read_folds(contender: Contender, folds: Sequence[int]) -> dict[int, Predictions]:
    card = contender.running.plan.card
    return {
        fold: read_predictions(contender.folder.fold(fold).predictions, card.task, card.display_names) for fold in folds
    }
