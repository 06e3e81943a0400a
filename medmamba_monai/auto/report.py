"""The report of a search: the answer first, then how it was found, what finding it cost, and what it is worth."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medmamba_monai.auto.choose import Choice
from medmamba_monai.auto.estimate import estimate_plan
from medmamba_monai.auto.plan import Candidate, Plan
from medmamba_monai.auto.record import Phase, Place, Record
from medmamba_monai.evaluation import CATALOGUE, Comparison, CrossValidationResult
from medmamba_monai.evaluation.reports.comparison_tables import (
    explain_correction,
    make_models_table,
    make_tests_table,
    write_sentences,
)
from medmamba_monai.evaluation.reports.page import KeyFigure, Link, Report, Section
from medmamba_monai.evaluation.results.formatting import format_interval, format_value
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.tables import Table
from medmamba_monai.training.handlers.epoch_progress import format_seconds

ANSWERS = ("auc", "accuracy", "balanced_accuracy")
"""Metrics that stand at the top."""


@dataclass(frozen=True)
class Found:
    """What a search found, for its report.

    Attributes:
        title: of the dataset.
        plan: that was carried out.
        record: of the race.
        choice: of the winner.
        result: of the winner on what no choice has seen.
        tested_on: what that is, such as ``official test set``.
        comparison: with the baselines; None where there is none.
        records: of the winner with clinical records, alone and fused; None where there are none.
        commands: that train a baseline which there was no time for, by its name.
        known_problems: of the data, one sentence each.
        output: folder of the search.
        winner: folder of the winner's cross-validation.
        spent: seconds of computing.
    """

    title: str
    plan: Plan
    record: Record
    choice: Choice
    result: CrossValidationResult
    tested_on: str
    comparison: Comparison | None
    records: Comparison | None
    commands: dict[str, str]
    known_problems: Sequence[str]
    output: Path
    winner: Path
    spent: float


def make_search_report(found: Found) -> Report:
    """Put the report of a search together."""
    return Report(
        title=f"{found.choice.winner} on {found.title}",
        subtitle=_describe_answer(found),
        warnings=_list_warnings(found),
        key_figures=[_make_figure(found, name) for name in ANSWERS],
        sections=[
            _tell_answer(found),
            _tell_race(found),
            _tell_cost(found.choice),
            _tell_comparison(found),
            *_tell_records(found),
            _tell_plan(found.plan),
            _tell_time(found),
            Section(
                "Known problems of the data",
                bullets=list(found.known_problems) or ["No problem is recorded in the dataset's card."],
            ),
            _tell_files(found),
        ],
        footer="Chosen by validation alone; the test images were looked at once, after the choice.",
    )


def write_answer(found: Found) -> str:
    """Say what was found, in a sentence."""
    values = [_format_metric(found.result, name) for name in ANSWERS[:2]]
    folds = len(found.result.folds)
    how = f"the mean of {folds} models" if folds > 1 else "one model"
    return f"{found.choice.winner}, {how}: {', '.join(values)} on the {found.tested_on}; 95 % intervals."


def _format_metric(result: CrossValidationResult, name: str) -> str:
    metric, interval = CATALOGUE[name], format_interval(name, result.intervals.metrics[name])
    unit = " %" if metric.in_percent else ""
    return f"{metric.label} {format_value(name, result.metrics[name])}{unit} ({interval})"


def _describe_answer(found: Found) -> str:
    images, folds = len(found.result.combined_predictions), len(found.result.folds)
    models = f"ensemble of {folds} models" if folds > 1 else "one model"
    candidates = len(found.plan.candidates)
    best = f"The best of {candidates} candidates" if candidates > 1 else "The one candidate"
    return f"{best}, {models}, tested on the {found.tested_on} ({images} images)"


def _list_warnings(found: Found) -> list[str]:
    warnings = [f"Given up for lack of time: {what} ({why})." for what, why in found.record.given_up.items()]
    warnings += [f"{name} could not be trained: {reason}" for name, reason in found.record.failures.items()]
    if found.spent > found.plan.budget_seconds:
        over = format_seconds(found.spent - found.plan.budget_seconds)
        warnings.append(f"The budget of {format_seconds(found.plan.budget_seconds)} was exceeded by {over}.")
    return warnings


def _make_figure(found: Found, name: str) -> KeyFigure:
    interval = found.result.intervals.metrics[name]
    note = f"95 % interval {format_interval(name, interval)}" if isinstance(interval, Interval) else "no interval"
    return KeyFigure(CATALOGUE[name].title, format_value(name, found.result.metrics[name]), note)


def _tell_answer(found: Found) -> Section:
    paragraphs = [
        write_answer(found),
        f"No choice has seen the {found.tested_on}: candidates left and won by validation images alone, and the "
        "winner was written down before its test predictions were read.",
    ]
    return Section("The answer", paragraphs)


def _tell_race(found: Found) -> Section:
    plan, record, choice = found.plan, found.record, found.choice
    text = (
        "All candidates began with fold 0. At the end of each round the worse half left, by the AUC on the validation "
        "part in their best epoch until then; AUCs that agree to four digits were ordered by their log loss. "
        f"The best {plan.finalists} were trained on {len(choice.folds)} of {plan.num_folds} folds, and the winner is "
        f"the one with the highest AUC over all {choice.images} validation images together, each predicted by the "
        "model that was not trained on it."
    )
    left = [f"{name}: {reason}." for name, reason in record.left.items()]
    return Section("How it was chosen", [text], left, tables=[_make_race_table(found), _make_finals_table(found)])


def _make_race_table(found: Found) -> Table:
    """Lay out the validation AUC of each candidate at the end of each round, the latest to stay first."""
    rounds = found.record.rounds
    scores = [{place.name: place for place in places} for places in rounds]
    names = [candidate.name for candidate in found.plan.candidates]
    order = sorted(names, key=lambda name: [-sum(name in places for places in scores), _find_rank(rounds, name)])
    rows = []
    for name in order:
        cells = [
            f"{places[name].score.auc:.4f} (epoch {places[name].epochs})" if name in places else "-"
            for places in scores
        ]
        rows.append([name, *cells, "failed" if name in found.record.failures else _find_end(found, name)])
    header = ["candidate", *(f"round {number + 1}" for number in range(len(rounds))), "end"]
    return Table(header, rows, "AUC on the validation part of fold 0 at the end of each round")


def _find_rank(rounds: Sequence[Sequence[Place]], name: str) -> int:
    """Return where a candidate stood in the last round that it ran."""
    ranks = [[place.name for place in places].index(name) for places in rounds if name in {one.name for one in places}]
    return ranks[-1] if ranks else len(rounds)


def _find_end(found: Found, name: str) -> str:
    if name == found.choice.winner:
        return "winner"
    return "finalist" if name in found.choice.scores else "left"


def _make_finals_table(found: Found) -> Table:
    choice = found.choice
    names = sorted(choice.scores, key=lambda name: choice.scores[name].key)
    rows = [
        [name, f"{choice.scores[name].auc:.4f}", f"{choice.scores[name].log_loss:.4f}", f"{choice.shares[name]:.0%}"]
        for name in names
    ]
    header = ["finalist", "AUC", "log loss", "wins in resamples"]
    return Table(header, rows, f"Out-of-fold predictions of {choice.images} validation images")


def _tell_cost(choice: Choice) -> Section:
    naive = choice.scores[choice.winner].auc
    interval = (
        "no interval" if choice.low is None else f"{choice.level:.0%} interval {choice.low:.4f} to {choice.high:.4f}"
    )
    if len(choice.scores) > 1:
        optimism = (
            f"The winner's AUC of {naive:.4f} on the validation images is too high, as it was chosen there. The choice "
            f"was repeated on {choice.resamples} resamples of {choice.num_units} {choice.units}, and each time the "
            f"chosen one was scored on what the resample had left out (BBC-CV, Tsamardinos et al. 2018): "
            f"{choice.corrected:.4f} ({interval}). Choosing among {len(choice.scores)} finalists was worth "
            f"{choice.optimism:+.4f} of optimism."
        )
    else:
        optimism = (
            f"One finalist was left, so that the last choice cost nothing. Its AUC on the validation images is "
            f"{naive:.4f}; scored on what resamples leave out {choice.corrected:.4f} ({interval})."
        )
    limits = (
        "What the rounds on fold 0 and the choice of the best epoch add to that is not in this figure; the test images "
        "above are free of all of it."
    )
    time = f"In time, the search had spent {format_seconds(choice.seconds)} of computing when the winner was chosen."
    return Section("How much choosing cost", [optimism, limits, time])


def _tell_comparison(found: Found) -> Section:
    comparison = found.comparison
    commands = "\n\n".join(found.commands.values())
    missing = [
        f"No time was left for {name}. More budget_seconds in plan.json and the same command again train it here; the "
        "command below does in the folder of its bundle."
        for name in found.commands
    ]
    if comparison is None:
        said = [] if found.commands else ["The plan has no baseline that could be compared."]
        return Section("Compared with baselines", [*said, *missing], code=commands)
    return Section(
        "Compared with baselines",
        [explain_correction(comparison), *missing],
        write_sentences(comparison),
        links=[Link("all differences, with a picture", "comparison/report.html")],
        code=commands,
        tables=[
            make_models_table(comparison),
            *(make_tests_table(pair) for pair in comparison.pairs if found.choice.winner in pair.names),
        ],
    )


def _tell_records(found: Found) -> list[Section]:
    """Say what clinical records add to the winner, and the image to them; nothing where the card has none."""
    comparison = found.records
    if comparison is None:
        return []
    text = (
        "Logistic regression of the clinical records alone, and of the records with the winner's scores, on the "
        "winner's folds: each is fitted on the training images of a fold, each of which has the score of a network "
        "that did not learn from it. Nothing was chosen by this, and the package judges by the image alone."
    )
    return [
        Section(
            "Clinical records",
            [text, explain_correction(comparison)],
            write_sentences(comparison),
            tables=[make_models_table(comparison), *map(make_tests_table, comparison.pairs)],
        )
    ]


def _tell_plan(plan: Plan) -> Section:
    bullets = [f"{name.replace('_', ' ')}: {reason}" for name, reason in plan.explain().items()]
    rows = [_describe_candidate(plan, candidate) for candidate in (*plan.candidates, *plan.baselines)]
    header = ["candidate", "network", "size", "epochs", "recipe", "s/epoch, measured"]
    text = "A plan is corrected by editing a line of plan.json; another --output keeps this search."
    return Section("The plan, and why", [text], bullets, tables=[Table(header, rows, "Candidates and baselines")])


def _describe_candidate(plan: Plan, candidate: Candidate) -> list[str]:
    options = candidate.options(plan)
    shown = [options[name] for name in ("network_name", "image_size", "epochs", "recipe")]
    return [candidate.name, *map(str, shown), f"{candidate.seconds_per_epoch:.1f}"]


def _tell_time(found: Found) -> Section:
    planned = estimate_plan(found.plan)
    phases: tuple[Phase, ...] = ("race", "finals", "baselines")
    taken = {phase: sum(step.seconds for step in found.record.steps if step.phase == phase) for phase in phases}
    rows = [[phase, format_seconds(planned[phase]), format_seconds(taken[phase])] for phase in phases]
    rest = found.spent - sum(taken.values())
    closing = planned["look and plan"] + planned["report and package"]
    rows.append(["all else", format_seconds(closing), format_seconds(rest)])
    rows.append(["together", format_seconds(found.plan.budget_seconds), format_seconds(found.spent)])
    text = (
        "All else: looking at the data, planning, the winner's review, the comparison. Together, planned: the budget."
    )
    return Section("Time", [text], tables=[Table(["step", "planned", "spent"], rows)])


def _tell_files(found: Found) -> Section:
    winner = Path(os.path.relpath(found.winner, found.output)).as_posix()
    links = [
        Link("the winner's own report: every metric, curves, calibration, mistakes", f"{winner}/report.html"),
        Link("the plan, as text", "plan.md"),
        Link("what happened, for programs: race.json", "race.json"),
        Link("the choice, for programs: choice.json", "choice.json"),
        Link("the package, which judges new images", "package/README.md"),
    ]
    shown = [link for link in links if (found.output / link.address).exists()]
    name = shlex.quote(found.output.name)
    commands = [f"medmamba-monai auto --plan {name}/plan.json --output ANOTHER_FOLDER"]
    if not found.plan.views:
        commands.append(f"medmamba-monai infer {name}/package FOLDER_OF_IMAGES")
    said = ["In the folder that holds the search:"]
    if found.plan.views:
        said.insert(0, "There is no package: it would judge each image once, and the plan has views.")
    return Section("Files, and the commands to go on with", said, links=shown, code="\n".join(commands))
