"""What rivals come to beside the search: their answers read and scored, who wins, and the documents' table of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import load_result, markdown_table, measured_on
from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation import CATALOGUE, Predictions
from medmamba_monai.evaluation.metrics.compute import compute_metrics
from medmamba_monai.evaluation.reports.comparison_tables import format_p
from medmamba_monai.evaluation.results.comparison import COMPARED, LEVEL, compare_on_images
from medmamba_monai.evaluation.results.formatting import format_difference, format_interval, format_value
from medmamba_monai.evaluation.statistics.bootstrap import bootstrap_differences, bootstrap_intervals
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.statistics.significance import holm

OURS = "medmamba-monai auto"

Adjusted = dict[tuple[str, str, str], float]
"""p-values by dataset, rival and metric."""


@dataclass(frozen=True)
class Answer:
    """What a program says of the test images.

    Attributes:
        predictions: its probabilities, beside the true labels.
        seconds: that it took.
        chosen: what it chose, for readers.
        versions: of the packages that it ran with.
    """

    predictions: Predictions
    seconds: float
    chosen: str
    versions: Mapping[str, str]


def read_answer(file: Path, ours: Predictions, ids: Sequence[str]) -> Answer:
    """Read the answer of a rival's program.

    Args:
        file: that the program wrote.
        ours: predictions of the same images by the search, whose labels are taken.
        ids: of the images, in the order in which the program got them.

    Raises:
        UserError: it is no answer: it names the file and what is wrong in it.
    """
    found = load_result(file)
    try:
        probabilities = np.asarray(found["probabilities"], dtype=np.float64)
        if probabilities.shape != (len(ids), ours.num_classes):
            raise ValueError(f"probabilities of shape {probabilities.shape}, not {(len(ids), ours.num_classes)}")
        rows = {name: row for row, name in enumerate(ours.ids)}
        images = ours.take([rows[name] for name in ids])
        predictions = replace(images, probabilities=probabilities)
        return Answer(predictions, float(found["seconds"]), str(found["chosen"]), dict(found["versions"]))
    except (KeyError, TypeError, ValueError) as error:
        problem = f"{error} is missing" if isinstance(error, KeyError) else error
        raise UserError(f"{file} is no answer of a rival ({problem}): remove it and run again") from error


def describe_scores(ours: Answer, rivals: Mapping[str, Answer]) -> dict[str, Any]:
    """Score everyone on the same test images, and test each rival against the search; p-values are not yet adjusted.

    Args:
        ours: of the search.
        rivals: by name for readers.
    """
    return {
        "images": len(ours.predictions),
        "programs": {name: _describe_program(answer) for name, answer in ({OURS: ours} | dict(rivals)).items()},
        "tests": {name: _describe_tests(answer.predictions, ours.predictions) for name, answer in rivals.items()},
    }


def rivals_part(result: dict[str, Any]) -> str:
    """Write the table of everyone, and in words who wins where."""
    columns = (CATALOGUE[metric].title for metric in COMPARED)
    titles = ["", "took", "chose", *columns, *(f"wins by {CATALOGUE[metric].label}" for metric in COMPARED)]
    adjusted = adjust(result)
    rows = [_list_cells(dataset, name, adjusted) for dataset in result["datasets"] for name in dataset["programs"]]
    sentences = [
        f"- {_write_sentence(dataset, name, metric, adjusted)}"
        for dataset in result["datasets"]
        for name in dataset["tests"]
        for metric in COMPARED
    ]
    return "\n\n".join([markdown_table(titles, rows), "\n".join(sentences), _write_note(result)])


def adjust(result: dict[str, Any]) -> Adjusted:
    """Return p-values by dataset, rival and metric, after Holm's correction over all of them; 1 where there is none."""
    places = [
        (dataset["title"], name, metric)
        for dataset in result["datasets"]
        for name in dataset["tests"]
        for metric in COMPARED
    ]
    tests = {dataset["title"]: dataset["tests"] for dataset in result["datasets"]}
    found = [tests[title][name][metric]["p_value"] for title, name, metric in places]
    return dict(zip(places, holm([1.0 if p is None else p for p in found]), strict=True))


def name_winner(rival: str, test: Mapping[str, Any], p: float) -> str:
    """Say who is ahead by a metric, and whether the difference is shown.

    Args:
        rival: its name.
        test: with the ``difference``, rival minus search.
        p: of the difference, adjusted.
    """
    if test["difference"] == 0:
        return "neither"
    ahead = rival if test["difference"] > 0 else OURS
    return ahead if p < LEVEL else f"not shown ({ahead} ahead)"


def _list_cells(dataset: Mapping[str, Any], name: str, adjusted: Adjusted) -> list[str]:
    program, tests = dataset["programs"][name], dataset["tests"].get(name)
    winners = [
        name_winner(name, tests[metric], adjusted[dataset["title"], name, metric]) if tests else ""
        for metric in COMPARED
    ]
    return [
        f"{dataset['title']}, {dataset['budget'] / 60:g} min: {name}",
        f"{program['seconds'] / 60:.1f} min",
        program["chosen"],
        *(_write_metric(metric, program["metrics"][metric]) for metric in COMPARED),
        *winners,
    ]


def _write_sentence(dataset: Mapping[str, Any], rival: str, metric: str, adjusted: Adjusted) -> str:
    test, p = dataset["tests"][rival][metric], adjusted[dataset["title"], rival, metric]
    label, unit = CATALOGUE[metric].label, " points" if CATALOGUE[metric].in_percent else ""
    difference = f"{rival} minus {OURS} {format_difference(metric, test['difference'])}{unit}"
    wins = f"**{rival} wins**" if test["difference"] > 0 else f"{OURS} wins"
    found = wins if p < LEVEL else "no difference is shown"
    written = format_p(p)
    tested = f"{test['test']}, p {written if written.startswith('<') else f'= {written}'}"
    return f"{dataset['title']}, {label}: {difference}; {found} ({tested})."


def _write_metric(metric: str, found: Mapping[str, Any]) -> str:
    value, limits = format_value(metric, found["value"]), found["interval"]
    return f"{value} ({format_interval(metric, Interval(**limits))})" if isinstance(limits, dict) else value


def _write_note(result: dict[str, Any]) -> str:
    images = ", ".join(f"{dataset['images']} of {dataset['title']}" for dataset in result["datasets"])
    versions = {
        f"{package} {number}"
        for dataset in result["datasets"]
        for program in dataset["programs"].values()
        for package, number in program["versions"].items()
    }
    threads = result["machine"]["threads"]
    return (
        f"Test images ({images}), of which no program had the labels, with 95 % intervals. Everyone had the same "
        f"folds, the same budget, as many threads ({threads}) and no pretrained weights. Each trained once: the tests "
        "tell these trained models apart on images like these, not one way of training from another. p-values are "
        f"adjusted by Holm's method for {len(adjust(result))} tests. Rivals: {', '.join(sorted(versions))}. "
        f"{measured_on(result)} Made by `python -m benchmarks.rivals`."
    )


def _describe_program(answer: Answer) -> dict[str, Any]:
    metrics, intervals = compute_metrics(answer.predictions), bootstrap_intervals(answer.predictions).metrics
    shown = {
        metric: {
            "value": metrics[metric],
            "interval": found if isinstance(found := intervals[metric], str) else asdict(found),
        }
        for metric in COMPARED
    }
    rest = {"seconds": answer.seconds, "chosen": answer.chosen, "versions": dict(answer.versions)}
    return {**rest, "metrics": shown}


def _describe_tests(rival: Predictions, ours: Predictions) -> dict[str, Any]:
    pair = (rival, ours.take([ours.ids.index(name) for name in rival.ids]))
    differences = bootstrap_differences(*pair)
    tests = {metric: compare_on_images(metric, pair, differences) for metric in COMPARED}
    return {
        metric: {"difference": differences.metrics[metric].value, "test": test.name, "p_value": test.p_value}
        for metric, test in tests.items()
    }
