"""The model card of a package: Markdown for people, JSON for programs, of what the run and its card say and no more.

Programs get Hugging Face's metadata with its ``model-index``, and the sections under the names of the variables of its
template. The Applied Model Card of CHAI has an XML schema, and fields that must be filled of which a run knows
nothing, such as funding, clinical risk level and the stakeholders consulted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medmamba_monai.cards import DatasetCard
from medmamba_monai.data import ShortcutAudit
from medmamba_monai.data.shortcuts.words import summarize_audit, write_warnings
from medmamba_monai.evaluation import CATALOGUE, METRICS, CrossValidationResult
from medmamba_monai.evaluation.reports.result_report import list_limits
from medmamba_monai.evaluation.results.formatting import format_value
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.package.manifest import Manifest

_POOLED = (
    "The figures are of the test parts of the folds joined, each judged by the network of its own fold. The mean of "
    "the folds, which this package predicts with, was not tested: every image trained some of its networks."
)
_NO_SUBGROUPS = (
    "Subgroups, such as sex, age, scanner or site: the results hold classes and patients, and no column of others."
)
_USE = "medmamba-monai infer FOLDER_OF_THIS_PACKAGE IMAGES --output FOLDER"
_TASK = {"type": "image-classification", "name": "Image classification"}


@dataclass(frozen=True)
class ModelCard:
    """What is known of a package.

    Args:
        manifest: what it holds.
        card: of the dataset.
        result: of the folds in the package.
        missing: numbers of the folds that did not finish.
        audit: of the dataset's shortcuts; None where there is none.
    """

    manifest: Manifest
    card: DatasetCard
    result: CrossValidationResult
    missing: Sequence[int] = ()
    audit: ShortcutAudit | None = None

    def format_markdown(self) -> str:
        """Return the card as a page with a header for programs."""
        card = self.card
        sections: dict[str, Iterable[str]] = {
            "Intended use": [card.intended_use],
            "What it is": self._describe(),
            "Figures on test images": [
                *self._explain_figures(),
                "\n".join(self._list_figures()),
                *self._list_classes(),
            ],
            "Thresholds": [f"Chosen on: {self.manifest.operating_points_from}. They stand in `package.json`."],
            "When not to answer": [self._explain_unlike()],
            "Known problems": _list_items(self.list_problems()) or ["None is stated in the card."],
            "What was not tested": _list_items(self.list_untested()),
            "Data": [card.how_to_obtain, f"Made by {card.authors}.", *_list_items(card.references)],
            "How to use it": [f"```bash\n{_USE}\n```"],
        }
        text = "\n\n".join(f"## {title}\n\n" + "\n\n".join(parts) for title, parts in sections.items())
        # values are written as JSON, which YAML is a superset of
        lines = (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in self.describe_metadata().items())
        header = "\n".join(["---", *lines, "---"])
        return f"{header}\n\n# {card.title}, {self.manifest.network.name}\n\n{text}\n"

    def describe(self) -> dict[str, Any]:
        """Return the card for programs: the metadata, and the sections by the names of Hugging Face's template."""
        card = self.card
        return {
            **self.describe_metadata(),
            "model_description": "\n".join(self._describe()),
            "developers": f"trained with medmamba-monai {self.manifest.versions.get('medmamba-monai', '')}".strip(),
            "direct_use": card.intended_use,
            "bias_risks_limitations": "\n".join([*self.list_problems(), self._explain_unlike()]),
            "training_data": f"{card.title}: {card.description} {card.how_to_obtain} Made by {card.authors}.",
            "testing_data": self._name_test_images(),
            "testing_factors": "\n".join(self.list_untested()),
            "testing_metrics": "\n".join(f"{CATALOGUE[name].title}" for name in METRICS),
            "get_started_code": _USE,
        }

    def describe_metadata(self) -> dict[str, Any]:
        """Return the metadata of Hugging Face with the figures as ``model-index``."""
        card = self.card
        return {
            "license": "other",
            "license_name": f"terms of the training data: {card.license.name}",
            **({"license_link": card.license.url} if card.license.url else {}),
            "library_name": "medmamba-monai",
            "pipeline_tag": "image-classification",
            "tags": ["medical", "monai", "medmamba-monai", card.modality],
            "model-index": [{"name": card.title, "results": self._list_results()}],
        }

    def list_problems(self) -> list[str]:
        """List what is known to be wrong: of the data, of facts that tell the class, of folds that are not there."""
        problems = [*self.card.known_problems]
        if self.audit is not None:
            problems += [f"Shortcut: {warning}." for warning in write_warnings(self.audit)]
        if self.missing:
            problems.append(f"The folds {list(self.missing)} of {self.result.num_folds} did not finish.")
        return problems

    def list_untested(self) -> list[str]:
        """List what the figures do not show."""
        audit = [] if self.audit is not None else [f"Shortcuts: {summarize_audit(None)}."]
        return [*list_limits(self.result), _NO_SUBGROUPS, *audit]

    def _describe(self) -> list[str]:
        network, card = self.manifest.network, self.card
        return [
            f"`{network.name}` on {network.image_size} pixels, {card.task}: {', '.join(self.manifest.class_names)}. "
            f"Trained on {card.title} ({card.modality}): {card.description}",
            f"It holds {self.manifest.selection}.",
        ]

    def _explain_figures(self) -> list[str]:
        said = [_POOLED] if self.result.combination == "pooled" else []
        if self.manifest.precision != "float32":
            precision = f"mixed precision ({self.manifest.precision})"
            said.append(f"They were computed with {precision}; the package computes in float32.")
        return said

    def _explain_unlike(self) -> str:
        unlike = self.manifest.unlike
        if unlike is None:
            return f"It cannot tell images that are unlike the training images: {self.manifest.unlike_missing}."
        return (
            f"It tells how unlike the training images an image is, from means and covariances of "
            f"{unlike.training_images} training images and the distances of {unlike.validation_images} validation "
            "images, each counted once a fold. That was not tested on images of other patients, scanners or hospitals."
        )

    def _name_test_images(self) -> str:
        images = f"{len(self.result.combined_predictions)} test images of {self.card.title}."
        return " ".join([images, *self._explain_figures()])

    def _list_figures(self) -> Iterator[str]:
        yield f"| {len(self.result.combined_predictions)} images | value | 95 % interval |"
        yield "|---|---|---|"
        for name in METRICS:
            limits = _format_interval(name, self.result.intervals.metrics[name])
            yield f"| {CATALOGUE[name].title} | {format_value(name, self.result.metrics[name])} | {limits} |"

    def _list_classes(self) -> list[str]:
        """Lay out the figures of each class with their intervals."""
        names = list(self.result.class_metrics)
        lines = [f"| class | {' | '.join(CATALOGUE[name].title for name in names)} |", f"|---|{'---|' * len(names)}"]
        for index, label in enumerate(self.result.class_names):
            cells = [
                f"{format_value(name, self.result.class_metrics[name][index])} "
                f"({_format_interval(name, self.result.intervals.classes[name][index])})"
                for name in names
            ]
            lines.append(f"| {label} | {' | '.join(cells)} |")
        return ["Of each class, with 95 % intervals:", "\n".join(lines)]

    def _list_results(self) -> list[dict[str, Any]]:
        """Return the figures, and those of each class, as results of ``model-index``."""
        whole = {"type": self.card.name, "name": self.card.title, "split": "test"}
        found = [_name_result(whole, self.result.metrics, self.result.intervals.metrics)]
        for index, label in enumerate(self.result.class_names):
            values = {name: column[index] for name, column in self.result.class_metrics.items()}
            intervals = {name: column[index] for name, column in self.result.intervals.classes.items()}
            found.append(_name_result({**whole, "args": {"class": label}}, values, intervals))
        return found


def _name_result(
    dataset: dict[str, Any], values: Mapping[str, float], intervals: Mapping[str, Interval | str]
) -> dict[str, Any]:
    """Return one result; the ends of an interval are metrics of their own, as the metadata have no field for them."""
    metrics = []
    for name in (name for name in METRICS if name in values and math.isfinite(values[name])):
        title = CATALOGUE[name].title.removesuffix(" (%)")
        metrics.append({"type": name, "name": title, "value": values[name]})
        if isinstance(found := intervals[name], Interval):
            metrics += [
                {"type": name, "name": f"{title}, {end} end of the 95 % interval", "value": value}
                for end, value in (("lower", found.low), ("upper", found.high))
            ]
    return {"task": _TASK, "dataset": dataset, "metrics": metrics}


def _format_interval(name: str, found: Interval | str) -> str:
    return (
        f"{format_value(name, found.low)} to {format_value(name, found.high)}"
        if isinstance(found, Interval)
        else "none"
    )


def _list_items(texts: Iterable[str]) -> list[str]:
    items = "\n".join(f"- {text}" for text in texts)
    return [items] if items else []
