"""The sections of a search's report that say how the winner was found, and what choosing it cost."""

from __future__ import annotations

from collections.abc import Sequence

from medmamba_monai.auto.choose import Choice
from medmamba_monai.auto.plan import Plan
from medmamba_monai.auto.record import Place, Record
from medmamba_monai.evaluation.reports.page import Section
from medmamba_monai.evaluation.tables import Table
from medmamba_monai.training.handlers.epoch_progress import format_seconds


def tell_race(plan: Plan, record: Record, choice: Choice) -> Section:
    """Say who left when, and what the choice was made by."""
    text = (
        "All candidates began with fold 0. At the end of each round the worse half left, by the AUC on the validation "
        "part in their best epoch until then; AUCs that agree to four digits were ordered by their log loss. "
        f"{_count_finalists(choice)} trained on {len(choice.folds)} of {plan.num_folds} folds, and the winner is "
        f"the one with the highest AUC over all {choice.images} validation images together, each predicted by the "
        "model that was not trained on it."
    )
    if any(candidate.probe for candidate in plan.candidates):
        text += (
            " A probe of frozen features has no epochs: it was finished in the first round and stayed until the last, "
            "without taking a network's place before."
        )
    left = [f"{name}: {reason}." for name, reason in record.left.items()]
    return Section(
        "How it was chosen", [text], left, tables=[_make_race_table(plan, record, choice), _make_finals_table(choice)]
    )


def _count_finalists(choice: Choice) -> str:
    number = len(choice.scores)
    return f"The best {number} were" if number > 1 else "The best one was"


def _make_race_table(plan: Plan, record: Record, choice: Choice) -> Table:
    """Lay out the validation AUC of each candidate at the end of each round, the latest to stay first."""
    rounds = record.rounds
    scores = [{place.name: place for place in places} for places in rounds]
    names = [candidate.name for candidate in plan.candidates]
    order = sorted(names, key=lambda name: [-sum(name in places for places in scores), _find_rank(rounds, name)])
    rows = []
    for name in order:
        cells = [_describe_place(places[name]) if name in places else "-" for places in scores]
        rows.append([name, *cells, _find_end(record, choice, name)])
    header = ["candidate", *(f"round {number + 1}" for number in range(len(rounds))), "end"]
    return Table(header, rows, "AUC on the validation part of fold 0 at the end of each round")


def _describe_place(place: Place) -> str:
    return f"{place.score.auc:.4f}" + (f" (epoch {place.epochs})" if place.epochs else "")


def _find_rank(rounds: Sequence[Sequence[Place]], name: str) -> int:
    """Return where a candidate stood in the last round that it ran."""
    ranks = [[place.name for place in places].index(name) for places in rounds if name in {one.name for one in places}]
    return ranks[-1] if ranks else len(rounds)


def _find_end(record: Record, choice: Choice, name: str) -> str:
    if name == choice.winner:
        return "winner"
    if name in record.failures:
        return "failed"
    return "finalist" if name in choice.scores else "left"


def _make_finals_table(choice: Choice) -> Table:
    names = sorted(choice.scores, key=lambda name: choice.scores[name].key)
    rows = [
        [name, f"{choice.scores[name].auc:.4f}", f"{choice.scores[name].log_loss:.4f}", f"{choice.shares[name]:.0%}"]
        for name in names
    ]
    header = ["finalist", "AUC", "log loss", "wins in resamples"]
    return Table(header, rows, f"Out-of-fold predictions of {choice.images} validation images")


def tell_cost(choice: Choice) -> Section:
    """Say how much too good the winner's figure is for having been chosen by it, and what the choice took."""
    naive = choice.scores[choice.winner].auc
    if len(choice.scores) > 1:
        told = (
            f"The winner's AUC of {naive:.4f} on the validation images is too high, as it was chosen there. The choice "
            f"was repeated on {choice.resamples - choice.left_out} resamples of {choice.num_units} {choice.units}, and "
            "each time the chosen one was scored on what the resample had left out (BBC-CV, Tsamardinos et al. 2018)"
        )
        found = f"{told}: {_describe_corrected(choice)}."
        if choice.optimism is not None:
            found += f" Choosing among {len(choice.scores)} finalists was worth {choice.optimism:+.4f} of optimism."
    else:
        found = (
            "One finalist was left, so that the last choice cost nothing. Its AUC on the validation images is "
            f"{naive:.4f}; scored on what resamples leave out {_describe_corrected(choice)}."
        )
    if choice.left_out:
        found += f" {choice.left_out} of {choice.resamples} resamples could not be used, as a class was absent."
    limits = (
        "What the rounds on fold 0 and the choice of the best epoch add to that is not in this figure; the test images "
        "above are free of all of it."
    )
    time = f"In time, the search had spent {format_seconds(choice.seconds)} of computing when the winner was chosen."
    return Section("How much choosing cost", [found, limits, time])


def _describe_corrected(choice: Choice) -> str:
    if choice.corrected is None:
        return "not known, as no resample could be used"
    if choice.low is None:
        return f"{choice.corrected:.4f} (no interval: too few images or groups, in all or of a class)"
    return f"{choice.corrected:.4f} ({choice.level:.0%} interval {choice.low:.4f} to {choice.high:.4f})"
