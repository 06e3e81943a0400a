"""A comparison in words, tables and numbers: it claims a difference only where the tests do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from medmamba_monai.evaluation.metrics.review import metric_names
from medmamba_monai.evaluation.reports.review_tables import TITLES, in_percent, shown, shown_interval, shown_spread
from medmamba_monai.evaluation.results.comparison import COMPARED, LEVEL, Comparison, MetricTests, Pair
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.tables import Table

SMALLEST_P = 1e-15
"""Smaller p-values are not told apart: their distributions are approximate, and they round to 0 in the end."""

_TITLES = {"auc": "AUC", "accuracy": "Accuracy"}


def sentences(comparison: Comparison) -> list[str]:
    """For each pair and metric what can be said, and no more."""
    return [_sentence(pair, metric) for pair in comparison.pairs for metric in COMPARED]


def correction_note(comparison: Comparison) -> str:
    """How the p-values of the sentences were made."""
    seeds = len(comparison.models[0].runs)
    repeated = f", of {seeds} repetitions averaged" if seeds > 1 else ""
    return f"Test images, {comparison.combination} of the folds{repeated}. {holm_note(comparison.num_tests)}"


def holm_note(num_tests: int) -> str:
    """What was done to the p-values of so many tests, and what a claim needs."""
    return (
        f"p-values are two-sided and adjusted by Holm's method for {num_tests} tests over images and as many over "
        f"trainings; a claim needs both below {LEVEL}."
    )


def p_text(p: float | None) -> str:
    """A p-value for readers, never rounded to zero."""
    if p is None:
        return "not testable"
    if p < SMALLEST_P:
        return f"<{SMALLEST_P:.0e}"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def models_table(comparison: Comparison) -> Table:
    """Every metric of every model with its interval; of several repetitions also their mean and standard deviation."""
    names = [model.name for model in comparison.models]
    repeated = len(comparison.models[0].runs) > 1
    header = ["test"] + [text for name in names for text in _columns(name, repeated)]
    rows = []
    for metric in metric_names(comparison.task):
        row = [TITLES[metric]]
        for name in names:
            interval = comparison.intervals[name].metrics[metric]
            row += [shown(metric, comparison.metrics[name][metric]), shown_interval(metric, interval)]
            if repeated:
                row.append(shown_spread(metric, [run[metric] for run in comparison.run_metrics[name]]))
        rows.append(row)
    return Table(header, rows)


def differences_table(comparison: Comparison, pair: Pair) -> Table:
    """Every metric: the difference of two models with its paired interval and p-value."""
    rows = []
    for metric in metric_names(comparison.task):
        found = pair.differences.metrics[metric]
        rows.append(
            [
                TITLES[metric],
                _signed(metric, found.value),
                "-" if isinstance(found.interval, str) else _limits(metric, found.interval),
                p_text(found.p_value),
            ]
        )
    header = [f"{pair.names[0]} minus {pair.names[1]}", "difference", "95 % interval", "p, unadjusted"]
    return Table(header, rows, "Paired bootstrap over test images")


def tests_table(pair: Pair) -> Table:
    """The tests that decide, with raw and adjusted p-values."""
    rows = []
    for metric, tests in pair.tests.items():
        image, fold = tests.over_images, tests.over_folds
        rows.append([_TITLES[metric], image.name, p_text(image.p_value), p_text(tests.image_p)])
        t = "" if fold.t is None else f", t = {fold.t:.2f}, {fold.degrees_of_freedom} df"
        mean = _signed(metric, fold.mean)
        name = f"corrected resampled t-test (mean difference {mean}{t})"
        rows.append([_TITLES[metric], name, p_text(fold.p_value), p_text(tests.fold_p)])
    return Table(["metric", "test", "p", "p, adjusted"], rows, " and ".join(pair.names))


def comparison_values(comparison: Comparison) -> dict[str, float]:
    """Numbers by their names in MLflow: ``model_0/auc``, ``difference_0_1/auc``, ``p_images_0_1/auc``, ..."""
    values: dict[str, float] = {}
    numbers = {model.name: number for number, model in enumerate(comparison.models)}
    for name, number in numbers.items():
        values |= {f"model_{number}/{metric}": value for metric, value in comparison.metrics[name].items()}
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


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Everything, as plain values that JSON carries."""
    return {
        "models": [model.name for model in comparison.models],
        "task": comparison.task,
        "combination": comparison.combination,
        "sentences": sentences(comparison),
        "metrics": {name: dict(values) for name, values in comparison.metrics.items()},
        "repetitions": {name: [dict(run) for run in runs] for name, runs in comparison.run_metrics.items()},
        "bootstrap": asdict(comparison.pairs[0].differences.resampling),
        "intervals": {
            name: {metric: _plain(interval) for metric, interval in found.metrics.items()}
            for name, found in comparison.intervals.items()
        },
        "pairs": [
            {
                "models": list(pair.names),
                "differences": {metric: asdict(found) for metric, found in pair.differences.metrics.items()},
                "tests": {metric: _plain_tests(tests) for metric, tests in pair.tests.items()},
            }
            for pair in comparison.pairs
        ],
    }


def _sentence(pair: Pair, metric: str) -> str:
    tests, (first, second) = pair.tests[metric], pair.names
    difference = tests.values[0] - tests.values[1]
    a, b = (shown(metric, value) for value in tests.values)
    unit = " %" if in_percent(metric) else ""
    found = f"{_TITLES[metric]}: {first} {a}{unit}, {second} {b}{unit}, difference {_signed(metric, difference)}."
    return f"{found} {_claim(tests, first, second)}"


def _claim(tests: MetricTests, first: str, second: str) -> str:
    images = f"{tests.over_images.name}, {_p_equals(tests.image_p)}"
    if tests.over_images.p_value is None:
        images = f"{tests.over_images.name} not possible"
    folds = f"corrected resampled t-test, {_p_equals(tests.fold_p)}"
    if tests.verdict in ("better", "worse"):
        ahead, behind = (first, second) if tests.verdict == "better" else (second, first)
        return f"{ahead} is better than {behind}, on these images ({images}) and over trainings ({folds})."
    if tests.verdict == "these models differ":
        return (
            f"The trained models differ on these images ({images}), but not by more than training on other images can "
            f"make them differ ({folds}): which network is better is not shown."
        )
    return f"No difference is shown ({images}; {folds})."


def _p_equals(p: float) -> str:
    return f"p {text}" if (text := p_text(p)).startswith("<") else f"p = {text}"


def _columns(name: str, repeated: bool) -> list[str]:
    return [name, "95 % interval", *(["mean ± std of seeds"] if repeated else [])]


def _signed(metric: str, value: float) -> str:
    return f"{100 * value:+.2f}" if in_percent(metric) else f"{value:+.4f}"


def _limits(metric: str, interval: Interval) -> str:
    return f"{_signed(metric, interval.low)} to {_signed(metric, interval.high)}"


def _plain(interval: Interval | str) -> dict[str, Any]:
    return {"no_interval": interval} if isinstance(interval, str) else asdict(interval)


def _plain_tests(tests: MetricTests) -> dict[str, Any]:
    return {**asdict(tests), "over_images": tests.over_images._asdict(), "verdict": tests.verdict}
