"""The documents' comparisons, from the results of ``benchmarks.recipes`` and ``benchmarks.pretrain`` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.report import markdown_table, measured_on
from medmamba_monai.cards import load_card
from medmamba_monai.evaluation import CATALOGUE
from medmamba_monai.evaluation.reports.comparison_tables import explain_holm
from medmamba_monai.evaluation.results.comparison import COMPARED
from medmamba_monai.evaluation.results.formatting import format_spread, format_value

CARDS = Path(__file__).resolve().parents[2] / "data_lists"


def recipes_part(result: dict[str, Any]) -> str:
    """Write AUC and accuracy of each model, what can be said of each pair, and how that was found."""
    return _write_part(result, f"{_training_note(result)} MedMamba is the demo's, of a million parameters.")


def pretrain_part(result: dict[str, Any]) -> str:
    """Write what pretraining without labels came to where few images have them, in the same way."""
    options = result["options"]
    epochs = f"contrastive: {options['contrastive']} epochs, masked: {options['masked']}"
    intro = (
        f"Pretraining without labels: {options['labelled']} images with labels, {options['unlabelled']:,} others "
        f"without for `medmamba-monai pretrain` ({epochs}), recipe `augmented`, and a MedMamba of a quarter of a "
        "million parameters."
    )
    return f"{intro}\n\n{_write_part(result, _training_note(result))} Made by `python -m benchmarks.pretrain`."


def _write_part(result: dict[str, Any], trained: str) -> str:
    comparison, options = result["comparison"], result["options"]
    rows = [[name, *_cells(comparison, name)] for name in comparison["models"]]
    sentences = "\n".join(f"- {sentence}" for sentence in comparison["sentences"])
    table = markdown_table(_titles(comparison, options), rows)
    tests = explain_holm(len(comparison["pairs"]) * len(COMPARED))
    note = f"{trained} {_interval_note(comparison)} {tests}"
    return f"{table}\n\n{sentences}\n\n{note} {measured_on(result)}"


def _titles(comparison: dict[str, Any], options: dict[str, Any]) -> list[str]:
    card = load_card(CARDS / options["dataset"] / "card.json")
    spread = [f"of {_seeds(comparison)} seeds"] if _seeds(comparison) > 1 else []
    columns = [title for metric in COMPARED for title in (CATALOGUE[metric].title, *spread)]
    return [f"{card.title} ({card.modality}), {options['image_size']} pixels", *columns]


def _cells(comparison: dict[str, Any], name: str) -> list[str]:
    cells = []
    for metric in COMPARED:
        interval = comparison["intervals"][name][metric]
        limits = "no interval" if "no_interval" in interval else " to ".join(_limits(metric, interval))
        cells.append(f"{format_value(metric, comparison['metrics'][name][metric])} ({limits})")
        values = [seed[metric] for seed in comparison["repetitions"][name]]
        if len(values) > 1:
            cells.append(format_spread(metric, values))
    return cells


def _limits(metric: str, interval: dict[str, float]) -> tuple[str, str]:
    return format_value(metric, interval["low"]), format_value(metric, interval["high"])


def _training_note(result: dict[str, Any]) -> str:
    comparison, options = result["comparison"], result["options"]
    tests = comparison["pairs"][0]["tests"][COMPARED[0]]
    folds = (tests["over_folds"]["degrees_of_freedom"] + 1) // _seeds(comparison)
    seeds = f", {_seeds(comparison)} seeds" if _seeds(comparison) > 1 else ""
    return (
        f"Trained for {options['epochs']} epochs at {options['image_size']} pixels, {folds} folds{seeds}: figures of "
        "a small budget."
    )


def _interval_note(comparison: dict[str, Any]) -> str:
    bootstrap, seeds = comparison["bootstrap"], _seeds(comparison)
    averaged = f", averaged over the {seeds} seeds" if seeds > 1 else ""
    spread = " Beside them the mean ± standard deviation of the seeds, each alone." if seeds > 1 else ""
    return (
        f"Test images, {comparison['combination']} of the folds{averaged}, with {100 * bootstrap['level']:g} % "
        f"intervals of a bootstrap over {bootstrap['num_units']:,} {bootstrap['units']}.{spread}"
    )


def _seeds(comparison: dict[str, Any]) -> int:
    return len(comparison["repetitions"][comparison["models"][0]])
