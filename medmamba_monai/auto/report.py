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
from medmamba_monai.auto.record import Phase, Record
from medmamba_monai.auto.records import tell_records
from medmamba_monai.auto.report_race import tell_cost, tell_race
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation import CATALOGUE, Comparison, CrossValidationResult
from medmamba_monai.evaluation.reports.additions import write_additions
from medmamba_monai.evaluation.reports.comparison_tables import (
    explain_correction,
    make_models_table,
    make_tests_table,
    write_sentences,
)
from medmamba_monai.evaluation.reports.page import KeyFigure, Link, Picture, Report, Section
from medmamba_monai.evaluation.reports.published import Own, Published, make_published_section
from medmamba_monai.evaluation.results.formatting import format_interval, format_value
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.tables import Table
from medmamba_monai.training.handlers.epoch_progress import format_seconds
from medmamba_monai.training.probes import TITLES

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
        published: results that others printed for the dataset.
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
    published: Sequence[Published]
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
            *_tell_standing(found),
            tell_race(found.plan, found.record, found.choice),
            tell_cost(found.choice),
            _tell_comparison(found),
            *tell_records(found.records, _weighs_classes(found)),
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
    has_intervals = any(not isinstance(found.result.intervals.metrics[name], str) for name in ANSWERS[:2])
    end = "; 95 % intervals." if has_intervals else "."
    return f"{found.choice.winner}, {how}: {', '.join(values)} on the {found.tested_on}{end}"


def _format_metric(result: CrossValidationResult, name: str) -> str:
    metric, interval = CATALOGUE[name], result.intervals.metrics[name]
    value = f"{metric.label} {format_value(name, result.metrics[name])}{' %' if metric.in_percent else ''}"
    why = f"no interval: {interval}" if isinstance(interval, str) else format_interval(name, interval)
    return f"{value} ({why})"


def _describe_answer(found: Found) -> str:
    images, folds = len(found.result.combined_predictions), len(found.result.folds)
    models = f"ensemble of {folds} models" if folds > 1 else "one model"
    candidates = len(found.plan.candidates)
    best = f"The best of {candidates} candidates" if candidates > 1 else "The one candidate"
    return f"{best}, {models}, tested on the {found.tested_on} ({images} images)"


def _list_warnings(found: Found) -> list[str]:
    warnings = [f"Given up for lack of time: {what} ({why})." for what, why in found.record.given_up.items()]
    warnings += [f"{name} could not be trained to the end: {reason}" for name, reason in found.record.failures.items()]
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
    if found.records is not None:
        paragraphs.append(f"{' '.join(write_additions(found.records))} See Clinical records below.")
    return Section("The answer", paragraphs)


def _tell_standing(found: Found) -> list[Section]:
    """Lay the winner beside published results, with the figure of its own report; nothing where there are none."""
    if not found.published:
        return []
    own = Own(found.choice.winner, found.result.metrics, found.result.intervals.metrics)
    figure = RunFolder(found.winner).figures / "published.png"
    text = "The winner with its 95 % interval, and published results."
    pictures = [Picture(figure, text, wide=True)] if figure.is_file() else []
    return [make_published_section([own], found.published, pictures)]


def _tell_comparison(found: Found) -> Section:
    comparison = found.comparison
    commands = "\n\n".join(found.commands.values())
    missing = [
        f"{name} could not be trained, see above. The same command again tries it here; the command below does in the "
        "folder of its bundle."
        if name in found.record.failures
        else f"There was no time for {name} yet. More budget_seconds in plan.json and the same command again train it "
        "here; the command below does in the folder of its bundle."
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


def _weighs_classes(found: Found) -> bool:
    winner = next(one for one in found.plan.candidates if one.name == found.choice.winner)
    return "class_weighted" in winner.options(found.plan).get("recipe", "").split(",")


def _tell_plan(plan: Plan) -> Section:
    bullets = [f"{name.replace('_', ' ')}: {reason}" for name, reason in plan.explain().items()]
    rows = [_describe_candidate(plan, candidate) for candidate in (*plan.candidates, *plan.baselines)]
    header = ["candidate", "network", "size", "epochs", "recipe", "s/epoch, measured"]
    text = "A plan is corrected by editing a line of plan.json; another --output keeps this search."
    return Section("The plan, and why", [text], bullets, tables=[Table(header, rows, "Candidates and baselines")])


def _describe_candidate(plan: Plan, candidate: Candidate) -> list[str]:
    options = candidate.options(plan)
    how = f"{TITLES[candidate.probe]} on frozen " if candidate.probe else ""
    start = " from the starting weights" if candidate.pretrained and not candidate.probe else ""
    shown = [options.get(name, "-") for name in ("image_size", "epochs", "recipe")]
    network = f"{how}{options['network_name']}{start}"
    return [candidate.name, network, *map(str, shown), f"{candidate.seconds_per_epoch:.1f}"]


def explain_missing_package(plan: Plan, winner: str) -> str:
    """Say why a winner leaves no package; empty where it does.

    Args:
        plan: that was carried out.
        winner: name of the candidate.
    """
    if plan.views:
        return "There is no package: it would judge each image once, and the plan has views."
    if next(one for one in plan.candidates if one.name == winner).probe is not None:
        return (
            "There is no package: a probe of frozen features leaves no network. Take the probes out of the candidates "
            "in plan.json, and with another --output the best network is found, and packed."
        )
    return ""


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
    said = ["In the folder that holds the search:"]
    if missing := explain_missing_package(found.plan, found.choice.winner):
        said.insert(0, missing)
    else:
        commands.append(f"medmamba-monai infer {name}/package FOLDER_OF_IMAGES")
    return Section("Files, and the commands to go on with", said, links=shown, code="\n".join(commands))
