"""The ``README.md`` of a package: a model card with the metadata of Hugging Face, of what the run and its card say."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from medmamba_monai.cards import DatasetCard
from medmamba_monai.evaluation import CATALOGUE, METRICS, CrossValidationResult
from medmamba_monai.evaluation.reports.result_report import list_limits
from medmamba_monai.evaluation.results.formatting import format_value
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.package.manifest import Manifest

_POOLED = (
    "The figures are of the test parts of the folds joined, each judged by the network of its own fold. The mean of "
    "the folds, which this package predicts with, was not tested: every image trained some of its networks."
)


def format_model_card(manifest: Manifest, card: DatasetCard, result: CrossValidationResult) -> str:
    """Return the model card in Markdown."""
    sections = {
        "Intended use": [card.intended_use],
        "What it is": [
            f"`{manifest.network.name}` on {manifest.network.image_size} pixels, {card.task}: "
            f"{', '.join(manifest.class_names)}. Trained on {card.title} ({card.modality}): {card.description}",
            f"It holds {manifest.selection}.",
        ],
        "Figures on test images": [
            *([_POOLED] if result.combination == "pooled" else []),
            "\n".join(_list_figures(result)),
            *_describe_precision(manifest),
        ],
        "Thresholds": [f"Chosen on: {manifest.operating_points_from}. They stand in `package.json`."],
        "Known problems of the data": _list_items(card.known_problems) or ["None is stated in the card."],
        "What was not tested": _list_items(list_limits(result)),
        "Data": [card.how_to_obtain, f"Made by {card.authors}.", *_list_items(card.references)],
        "How to use it": ["```bash\nmedmamba-monai infer FOLDER_OF_THIS_PACKAGE IMAGES --output FOLDER\n```"],
    }
    text = "\n\n".join(f"## {title}\n\n" + "\n\n".join(parts) for title, parts in sections.items())
    return f"{_format_metadata(card, result)}\n\n# {card.title}, {manifest.network.name}\n\n{text}\n"


def _list_figures(result: CrossValidationResult) -> Iterable[str]:
    yield f"| {len(result.combined_predictions)} images | value | 95 % interval |"
    yield "|---|---|---|"
    for name in METRICS:
        found = result.intervals.metrics[name]
        limits = (
            f"{format_value(name, found.low)} to {format_value(name, found.high)}"
            if isinstance(found, Interval)
            else "none"
        )
        yield f"| {CATALOGUE[name].title} | {format_value(name, result.metrics[name])} | {limits} |"


def _describe_precision(manifest: Manifest) -> list[str]:
    if manifest.precision == "float32":
        return []
    return [f"They were computed with mixed precision ({manifest.precision}); the package computes in float32."]


def _list_items(texts: Iterable[str]) -> list[str]:
    items = "\n".join(f"- {text}" for text in texts)
    return [items] if items else []


def _format_metadata(card: DatasetCard, result: CrossValidationResult) -> str:
    """Return the YAML header, whose values are written as JSON, which YAML is a superset of."""
    task = {"type": "image-classification", "name": "Image classification"}
    metrics = [
        {"type": name, "name": CATALOGUE[name].title.removesuffix(" (%)"), "value": result.metrics[name]}
        for name in METRICS
    ]
    found = {"task": task, "dataset": {"type": card.name, "name": card.title, "split": "test"}, "metrics": metrics}
    header: dict[str, Any] = {
        "license": "other",
        "license_name": f"terms of the training data: {card.license.name}",
        **({"license_link": card.license.url} if card.license.url else {}),
        "library_name": "medmamba-monai",
        "pipeline_tag": "image-classification",
        "tags": ["medical", "monai", "medmamba-monai", card.modality],
        "model-index": [{"name": card.title, "results": [found]}],
    }
    lines = (f"{key}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}" for key, value in header.items())
    return "\n".join(["---", *lines, "---"])
