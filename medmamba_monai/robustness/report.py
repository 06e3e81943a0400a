"""The robustness of a run as a page, a JSON file and a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation.figures.robustness import draw_robustness
from medmamba_monai.evaluation.figures.style import save_figure
from medmamba_monai.evaluation.metrics.compute import compute_metrics
from medmamba_monai.evaluation.reports.page import KeyFigure, Picture, Report, Section, write_report
from medmamba_monai.evaluation.results.formatting import format_difference, format_value
from medmamba_monai.evaluation.scores import Scores
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.tables import Table
from medmamba_monai.robustness.changes import METRICS, Change, Key
from medmamba_monai.robustness.corruptions import CORRUPTIONS

SOURCE = (
    "Kinds and strengths are those of MedMNIST-C for chest X-rays (Di Salvo et al. 2024, arXiv:2406.17536; chestmnist "
    "in the registry of github.com/francescodisalvo05/medmnistc-api), the same for every dataset, applied to images at "
    "the network's size. Lengths in pixels are scaled from an edge of 224."
)
LIMITS = (
    "Made-up corruptions are no scanner and no hospital: little change here does not promise little change there.",
    "No corruption was chosen for this kind of image, and the strongest may hide what a person needs as well.",
    "Intervals are of single changes: of many changes that are shown, a few are so by chance.",
)


@dataclass(frozen=True)
class Measurement:
    """What corruptions cost a run.

    Attributes:
        title: of the dataset.
        clean: probabilities of the images as they are.
        changes: by corruption and severity, by metric.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """

    title: str
    clean: Scores
    changes: Mapping[Key, Mapping[str, Change]]
    resamples: int
    seed: int

    @property
    def names(self) -> list[str]:
        """The corruptions, in the order in which they were measured."""
        return list(dict.fromkeys(name for name, _ in self.changes))

    @property
    def severities(self) -> list[int]:
        """The severities, ascending."""
        return sorted({severity for _, severity in self.changes})


def write_measurement(folder: RunFolder, measurement: Measurement) -> Path:
    """Write ``robustness.html``, ``robustness.json`` and the picture; returns the page."""
    rows = {
        CORRUPTIONS[name].title: {s: measurement.changes[name, s]["auc"] for s in measurement.severities}
        for name in measurement.names
    }
    drawn = {
        title: {s: (found.change, found.interval) for s, found in changes.items()} for title, changes in rows.items()
    }
    _, svg = save_figure(draw_robustness(drawn, f"Change of AUC: {measurement.title}"), folder.figures / "robustness")
    write_json(folder.robustness, describe_measurement(measurement))
    write_report(folder.robustness_report, make_robustness_report(measurement, folder.path.resolve().name, svg))
    return folder.robustness_report


def describe_measurement(measurement: Measurement) -> dict[str, Any]:
    """Return the content of ``robustness.json``: fractions in full precision."""
    found: dict[str, Any] = {name: {} for name in measurement.names}
    for (name, severity), changes in measurement.changes.items():
        found[name][str(severity)] = {metric: _describe(change) for metric, change in changes.items()}
    return {
        "images": len(measurement.clean),
        "clean": compute_metrics(measurement.clean, METRICS),
        "resamples": measurement.resamples,
        "seed": measurement.seed,
        "corruptions": found,
    }


def make_robustness_report(measurement: Measurement, name: str, picture: Path) -> Report:
    """Put the page together.

    Args:
        measurement: what it tells.
        name: of the run.
        picture: of the changes of the AUC.
    """
    clean = compute_metrics(measurement.clean, METRICS)
    text = "Change of the AUC by severity, with 95 % intervals; filled where the interval leaves out 0."
    error = f"{100 * (1 - clean['balanced_accuracy']):.2f} %"
    return Report(
        title=f"Robustness of {name} on {measurement.title}",
        subtitle=f"{len(measurement.clean)} test images, {len(measurement.names)} kinds of corruption",
        key_figures=[
            KeyFigure("AUC, images as they are", format_value("auc", clean["auc"])),
            KeyFigure("Balanced error, images as they are", error),
        ],
        sections=[
            Section("What can be said", bullets=summarize(measurement), pictures=[Picture(picture, text, wide=True)]),
            Section("Change of the AUC", tables=[_make_table(measurement, "auc")]),
            Section(
                "Change of the balanced error",
                ["Percentage points; the balanced error is 100 % minus the balanced accuracy."],
                tables=[_make_table(measurement, "balanced_accuracy", sign=-1)],
            ),
            Section("How it was measured", [SOURCE, _explain(measurement)]),
            Section("What this does not say", bullets=LIMITS),
        ],
    )


def summarize(measurement: Measurement) -> list[str]:
    """Say in sentences what costs the most at the highest severity, and what shows no change."""
    last = measurement.severities[-1]
    costs = {name: measurement.changes[name, last]["auc"] for name in measurement.names}
    worst = min(costs, key=lambda name: costs[name].change)
    lower = [name for name, cost in costs.items() if cost.is_shown and cost.change < 0]
    quiet = [name for name, cost in costs.items() if not cost.is_shown]
    said = "lowers the AUC most" if costs[worst].change < 0 else "comes closest to a lower AUC, which none has"
    sentences = [
        f"At severity {last}, {CORRUPTIONS[worst].title} {said}: {_write(costs[worst], 'auc', 1)}.",
        f"At severity {last} a lower AUC is shown for {len(lower)} of {len(costs)} kinds of corruption"
        + (f": {', '.join(CORRUPTIONS[name].title for name in lower)}." if lower else "."),
    ]
    if quiet:
        named = ", ".join(CORRUPTIONS[name].title for name in quiet)
        sentences.append(f"No change is shown for {named}; that is no proof of none.")
    return sentences


def _make_table(measurement: Measurement, metric: str, sign: int = 1) -> Table:
    header = ["corruption", *(f"severity {severity}" for severity in measurement.severities)]
    rows = [
        [
            CORRUPTIONS[name].title,
            *(_write(measurement.changes[name, severity][metric], metric, sign) for severity in measurement.severities),
        ]
        for name in measurement.names
    ]
    return Table(header, rows)


def _write(change: Change, metric: str, sign: int) -> str:
    return format_difference(metric, sign * change.change + 0.0) + _spell(change, metric, sign)


def _spell(change: Change, metric: str, sign: int = 1) -> str:
    if not isinstance(change.interval, Interval):
        return ""
    ends = sorted((sign * change.interval.low, sign * change.interval.high))
    return f" ({format_difference(metric, ends[0])} to {format_difference(metric, ends[1])})"


def _explain(measurement: Measurement) -> str:
    return (
        f"Intervals hold 95 %: bias-corrected and accelerated bootstrap of the paired difference, "
        f"{measurement.resamples} resamples, seed {measurement.seed}; corrupted and clean images are the same in each."
    )


def _describe(change: Change) -> dict[str, Any]:
    limits = change.interval
    interval = [limits.low, limits.high] if isinstance(limits, Interval) else limits
    return {"value": change.value, "change": change.change, "interval": interval}
