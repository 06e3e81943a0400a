"""A comparison in words, tables and numbers: it claims a difference only where the tests do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from medmamba_monai.evaluation.metrics.catalogue import CATALOGUE, list_metrics
from medmamba_monai.evaluation.reports.additions import write_additions
from medmamba_monai.evaluation.results.comparison import COMPARED, LEVEL, Comparison, FactsAuc, MetricTests, Pair
from medmamba_monai.evaluation.results.formatting import (
    format_difference,
    format_interval,
    format_spread,
    format_value,
)
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.tables import Table

FACTS_TITLE = "AUC of facts alone"
"""What a model that sees no picture reaches, see `FactsAuc`."""

SMALLEST_P = 1e-15
"""Smaller p-values are not told apart: their distributions are approximate, and they round to 0 in the end."""


def write_sentences(comparison: Comparison) -> list[str]:
    """Say what images and records add to each other, then of each pair and metric what can be said, and no more."""
    found = [_write_sentence(pair, metric) for pair in comparison.pairs for metric in COMPARED]
    return [*write_additions(comparison), *found]


def explain_correction(comparison: Comparison) -> str:
    """Say how the p-values of the sentences were made."""
    seeds = len(comparison.models[0].runs)
    repeated = f", of {seeds} repetitions averaged" if seeds > 1 else ""
    return f"Test images, {comparison.combination} of the folds{repeated}. {explain_holm(comparison.num_tests)}"


def explain_facts(comparison: Comparison) -> list[str]:
    """Say what facts alone reach; nothing where that is not known."""
    if comparison.facts is None:
        return []
    value, interval = format_value("auc", comparison.facts.auc), format_interval("auc", comparison.facts.interval)
    return [
        f"{FACTS_TITLE}: a small model that sees no picture, only facts of files and margins that are not medicine, "
        f"reaches {value} ({interval}) on the same folds; chance is 0.5. A network that is not clearly better may "
        "have learned no more."
    ]


def explain_holm(num_tests: int) -> str:
    """Say what was done to the p-values of so many tests, and what a claim needs."""
    return (
        f"p-values are two-sided and adjusted by Holm's method for {num_tests} tests over images and as many over "
        f"trainings; a claim needs both below {LEVEL}."
    )


def format_p(p: float | None) -> str:
    """Write a p-value for readers, never rounded to zero."""
    if p is None:
        return "not testable"
    if p < SMALLEST_P:
        return f"<{SMALLEST_P:.0e}"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def make_models_table(comparison: Comparison) -> Table:
    """Lay out every metric of every model with its interval; of several repetitions also their mean and spread."""
    names = [model.name for model in comparison.models]
    repeated = len(comparison.models[0].runs) > 1
    header = ["test"] + [text for name in names for text in _name_columns(name, repeated)]
    rows = []
    for metric in list_metrics(comparison.task):
        row = [CATALOGUE[metric].title]
        for name in names:
            interval = comparison.intervals[name].metrics[metric]
            row += [format_value(metric, comparison.metrics[name][metric]), format_interval(metric, interval)]
            if repeated:
                row.append(format_spread(metric, [run[metric] for run in comparison.run_metrics[name]]))
        rows.append(row)
        if metric == "auc" and comparison.facts is not None:
            rows.append([FACTS_TITLE, *_format_facts(comparison.facts, repeated) * len(names)])
    return Table(header, rows)


def make_differences_table(comparison: Comparison, pair: Pair) -> Table:
    """Lay out every metric: the difference of two models with its paired interval and p-value."""
    rows = []
    for metric in list_metrics(comparison.task):
        found = pair.differences.metrics[metric]
        rows.append(
            [
                CATALOGUE[metric].title,
                format_difference(metric, found.value),
                "-" if isinstance(found.interval, str) else _format_limits(metric, found.interval),
                format_p(found.p_value),
            ]
        )
    header = [f"{pair.names[0]} minus {pair.names[1]}", "difference", "95 % interval", "p, unadjusted"]
    return Table(header, rows, "Paired bootstrap over test images")


def make_tests_table(pair: Pair) -> Table:
    """Lay out the tests that decide, with raw and adjusted p-values."""
    rows = []
    for metric, tests in pair.tests.items():
        image, fold = tests.over_images, tests.over_folds
        rows.append([_name_metric(metric), image.name, format_p(image.p_value), format_p(tests.image_p)])
        t = "" if fold.t is None else f", t = {fold.t:.2f}, {fold.degrees_of_freedom} df"
        mean = format_difference(metric, fold.mean)
        name = f"corrected resampled t-test (mean difference {mean}{t})"
        rows.append([_name_metric(metric), name, format_p(fold.p_value), format_p(tests.fold_p)])
    return Table(["metric", "test", "p", "p, adjusted"], rows, " and ".join(pair.names))


def name_comparison_values(comparison: Comparison) -> dict[str, float]:
    """Name the numbers for MLflow: ``model_0/auc``, ``difference_0_1/auc``, ``p_images_0_1/auc``, ..."""
    values: dict[str, float] = {}
    numbers = {model.name: number for number, model in enumerate(comparison.models)}
    for name, number in numbers.items():
        values |= {f"model_{number}/{metric}": value for metric, value in comparison.metrics[name].items()}
    if comparison.facts is not None:
        values["facts_alone/auc"] = comparison.facts.auc
    for pair in comparison.pairs:
        suffix = "_".join(str(numbers[name]) for name in pair.names)
        for metric, found in pair.differences.metrics.items():
            values[f"difference_{suffix}/{metric}"] = found.value
            if isinstance(found.interval, Interval):
                values[f"difference_{suffix}/{metric}_low"] = found.interval.low
                values[f"difference_{suffix}/{metric}_high"] = found.interval.high
        for metric, tests in pair.tests.items():
            values |= {f"p_images_{suffix}/{metric}": tests.image_p, f"p_trainings_{suffix}/{metric}": tests.fold_p}
    return values


def describe_comparison(comparison: Comparison) -> dict[str, Any]:
    """Return everything as plain values that JSON carries."""
    return {
        "models": [model.name for model in comparison.models],
        "task": comparison.task,
        "combination": comparison.combination,
        "sentences": write_sentences(comparison),
        "metrics": {name: dict(values) for name, values in comparison.metrics.items()},
        "repetitions": {name: [dict(run) for run in runs] for name, runs in comparison.run_metrics.items()},
        "facts_alone": None if comparison.facts is None else asdict(comparison.facts),
        "bootstrap": asdict(comparison.pairs[0].differences.resampling),
        "intervals": {
            name: {metric: _describe_interval(interval) for metric, interval in found.metrics.items()}
            for name, found in comparison.intervals.items()
        },
        "pairs": [
            {
                "models": list(pair.names),
                "differences": {metric: asdict(found) for metric, found in pair.differences.metrics.items()},
                "tests": {metric: _describe_tests(tests) for metric, tests in pair.tests.items()},
            }
            for pair in comparison.pairs
        ],
    }


def _write_sentence(pair: Pair, metric: str) -> str:
    tests, (first, second) = pair.tests[metric], pair.names
    difference = tests.values[0] - tests.values[1]
    a, b = (format_value(metric, value) for value in tests.values)
    unit = " %" if CATALOGUE[metric].in_percent else ""
    signed = format_difference(metric, difference)
    found = f"{_name_metric(metric)}: {first} {a}{unit}, {second} {b}{unit}, difference {signed}."
    return f"{found} {_write_claim(tests, first, second)}"


def _write_claim(tests: MetricTests, first: str, second: str) -> str:
    images = f"{tests.over_images.name}, {_write_p(tests.image_p)}"
    if tests.over_images.p_value is None:
        images = f"{tests.over_images.name} not possible"
    folds = f"corrected resampled t-test, {_write_p(tests.fold_p)}"
    if tests.verdict in ("better", "worse"):
        ahead, behind = (first, second) if tests.verdict == "better" else (second, first)
        return f"{ahead} is better than {behind}, on these images ({images}) and over trainings ({folds})."
    if tests.verdict == "these models differ":
        return (
            f"The trained models differ on these images ({images}), but not by more than training on other images can "
            f"make them differ ({folds}): which network is better is not shown."
        )
    return f"No difference is shown ({images}; {folds})."


def _write_p(p: float) -> str:
    return f"p {text}" if (text := format_p(p)).startswith("<") else f"p = {text}"


def _format_facts(facts: FactsAuc, repeated: bool) -> list[str]:
    return [format_value("auc", facts.auc), format_interval("auc", facts.interval), *(["-"] if repeated else [])]


def _name_columns(name: str, repeated: bool) -> list[str]:
    return [name, "95 % interval", *(["mean ± std of seeds"] if repeated else [])]


def _name_metric(metric: str) -> str:
    label = CATALOGUE[metric].label
    return label[0].upper() + label[1:]


def _format_limits(metric: str, interval: Interval) -> str:
    return f"{format_difference(metric, interval.low)} to {format_difference(metric, interval.high)}"


def _describe_interval(interval: Interval | str) -> dict[str, Any]:
    return {"no_interval": interval} if isinstance(interval, str) else asdict(interval)


def _describe_tests(tests: MetricTests) -> dict[str, Any]:
    return {**asdict(tests), "over_images": tests.over_images._asdict(), "verdict": tests.verdict}
