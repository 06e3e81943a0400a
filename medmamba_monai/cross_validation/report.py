"""The report of a cross-validation with its figures: written into its folder, and logged to the parent run."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.cross_validation.mistake_maps import draw_mistake_maps
from medmamba_monai.cross_validation.published import list_published
from medmamba_monai.cross_validation.record import ResultRecord
from medmamba_monai.cross_validation.report_inputs import count_classes, read_case_images, read_history
from medmamba_monai.cross_validation.shortcuts import make_shortcuts_section, write_report_warnings
from medmamba_monai.data import read_audit
from medmamba_monai.evaluation.figures.class_balance import draw_class_balance
from medmamba_monai.evaluation.figures.fold_dots import draw_fold_dots
from medmamba_monai.evaluation.figures.images import draw_mosaic
from medmamba_monai.evaluation.figures.learning_curves import draw_learning_curves
from medmamba_monai.evaluation.figures.published import draw_published
from medmamba_monai.evaluation.figures.result import save_result_figures
from medmamba_monai.evaluation.figures.style import save_figure
from medmamba_monai.evaluation.reports.files import write_result
from medmamba_monai.evaluation.reports.page import Picture, Section, write_report
from medmamba_monai.evaluation.reports.published import COMPARED, Own, make_published_section, name_rows
from medmamba_monai.evaluation.reports.result_report import ReportContext, make_report
from medmamba_monai.evaluation.results.files import name_all_values
from medmamba_monai.evaluation.results.mistakes import Case, find_least_certain, find_mistakes
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.tracking.environment import read_package_versions
from medmamba_monai.tracking.run import TrackedRun

logger = logging.getLogger("medmamba_monai.cross_validation")

CASES = 12
"""Images in a mosaic."""

_MOSAICS = {"mistakes": "The most confident mistakes", "least_certain": "The least certain cases"}
_MAPS = "mistake_maps"
_CURVES = ("train/loss", "validation/loss", "validation/auc")


class ReportRecord:
    """The report of a result.

    Args:
        record: the result, at least one of whose folds has finished.
        images_left_out: why no images of mistakes are put into the report; empty to put them in, from where they reach
            the tracking store.
        images_stay_here: whether what shows images is kept from a tracking server, also if it is sent to one later.
    """

    def __init__(self, record: ResultRecord, images_left_out: str = "", images_stay_here: bool = False) -> None:
        self.record = record
        self.stay_here = images_stay_here and not images_left_out
        self.result = record.result
        self.folder = record.folder
        self.images_left_out = images_left_out
        self._maps_note = ""
        self._figures: list[Path] = []
        self._files: list[Path] = []

    def write(self, title: str, command: str, details: Mapping[str, Any]) -> None:
        """Write ``review.json``, ``review.csv``, the figures and ``report.html``.

        Args:
            title: of the report.
            command: that makes the run again.
            details: names and values worth knowing.
        """
        self._files = [self.folder.report, *write_result(self.result, self.folder)]
        write_report(self.folder.report, make_report(self.result, self._describe_context(title, command, details)))

    def log(self, run: TrackedRun) -> None:
        """Log what `write` left to the parent run."""
        resampling = self.result.intervals.resampling
        run.journal.log_params(
            {
                "bootstrap_resamples": resampling.resamples,
                "bootstrap_seed": resampling.seed,
                "bootstrap_units": resampling.units,
            }
        )
        run.journal.log_summary(name_all_values(self.result))
        for path in self._files:
            run.journal.log_artifact(path, stays_here=self.stay_here and path == self.folder.report)
        for path in self._figures:
            run.journal.log_artifact(path, "figures", stays_here=self.stay_here and path.stem in (*_MOSAICS, _MAPS))

    def _describe_context(self, title: str, command: str, details: Mapping[str, Any]) -> ReportContext:
        card, fold_list = self.record.card, self.record.fold_list
        cases, note = self._draw_cases()
        audit = read_audit(fold_list)
        return ReportContext(
            title=title,
            dataset=self.record.description,
            description=card.description,
            license=card.license.name,
            intended_use=card.intended_use,
            known_problems=[*card.known_problems, *fold_list.count_mismatch, *fold_list.checksum_mismatch],
            protocol=fold_list.protocol,
            command=command,
            versions=read_package_versions(),
            details={**details, "fold digest": fold_list.digest[:12]},
            curves=self._draw_curves(),
            cases=cases,
            trainings=self._draw_trainings(),
            cases_note=note,
            maps_note=self._maps_note,
            warnings=write_report_warnings(audit),
            shortcuts=make_shortcuts_section(audit),
            published=self._describe_published(),
            remark=self.record.remark,
        )

    def _draw_curves(self) -> list[Picture]:
        paths = save_result_figures(self.result, self.record.title, self.folder.figures)
        self._figures += paths
        texts = {
            "roc": "ROC of the combination; of several folds the band is their mean and standard deviation.",
            "precision_recall": "Precision against recall, likewise.",
            "abstention": "Errors where the images that it is least sure of are left to a person.",
            "reliability": "How often it is true what the network is sure of, before and after temperature scaling.",
        }
        drawn = [Picture(path, texts[_find_kind(path, texts)]) for path in paths if path.suffix == ".svg"]
        text = "How each label was told." if self.result.task == "multi-label" else "What was taken for what."
        return [*(Picture(path, text) for path in self.record.figures if path.suffix == ".svg"), *drawn]

    def _draw_trainings(self) -> list[Picture]:
        card, folds = self.record.card, self.result.folds
        dots = draw_fold_dots(
            self.result.fold_metrics,
            self.result.metrics,
            self.record.title,
            intervals=self._list_limits(),
            combination=self.result.combination,
        )
        pictures = [self._save(dots, "folds", "Each fold and their combination.")]
        histories = {fold: read_history(self.folder.fold(fold)) for fold in folds}
        if all(name in history for history in histories.values() for name in _CURVES):
            best = {fold: _read_best_epoch(self.folder.fold(fold).result) for fold in folds}
            curves = draw_learning_curves(histories, card.title, best)
            pictures.append(self._save(curves, "learning_curves", "Loss and validation AUC of all folds by epoch."))
        balance = draw_class_balance(count_classes(card, self.record.fold_list), self.result.class_names, card.title)
        return [*pictures, self._save(balance, "class_balance", "How the classes are divided.")]

    def _list_limits(self) -> dict[str, tuple[float, float]]:
        """Return the ends of the intervals of AUC and accuracy, of those that have one."""
        found = {name: self.result.intervals.metrics[name] for name in COMPARED}
        return {name: (limits.low, limits.high) for name, limits in found.items() if isinstance(limits, Interval)}

    def _describe_published(self) -> Section | None:
        """Set the result among the published ones of the card, if there are some."""
        published = list_published(self.record.card)
        if not published:
            return None
        values = [{name: getattr(found, name) for name in COMPARED} for found in published]
        rows = list(zip(name_rows(published), values, strict=True))
        name, metrics = f"this run, {self.result.combination}", self.result.metrics
        figure = draw_published((name, metrics), rows, self.record.title, self._list_limits())
        picture = self._save(figure, "published", "This run with its 95 % interval, and published results.")
        own = Own(name, metrics, self.result.intervals.metrics)
        return make_published_section([own], published, [replace(picture, wide=True)])

    def _draw_cases(self) -> tuple[list[Picture], str]:
        """Draw mosaics of images, and say where there are none why; those of an earlier report are removed."""
        for name in (*_MOSAICS, _MAPS):
            for path in self.folder.figures.glob(f"{name}.*"):
                path.unlink()
        if self.images_left_out:
            return [], self.images_left_out
        combined = self.result.combined_predictions
        mistakes = find_mistakes(combined, CASES)
        found = {"mistakes": mistakes, "least_certain": find_least_certain(combined, CASES)}
        pictures = [self._draw_mosaic(name, cases) for name, cases in found.items() if cases]
        pictures[1:1] = self._draw_maps(mistakes)
        return pictures, "" if mistakes else "No test image was classified wrongly. These were the closest calls."

    def _draw_maps(self, mistakes: list[Case]) -> list[Picture]:
        """Draw maps of mistakes, or note why there are none."""
        if not mistakes:
            return []
        if self.result.task == "multi-label":
            self._maps_note = (
                "Maps are drawn of mistakes where an image has one class; there are none of several labels."
            )
            return []
        try:
            figure = draw_mistake_maps(self.folder, self.record.fold_list, mistakes, self.record.title)
        except UserError as error:
            logger.warning("There are no maps of mistakes: %s", error)  # it may name folders, which the page does not
            self._maps_note = "There are no maps of mistakes: the run left no networks that could be opened again."
            return []
        text = (
            "What spoke for the true class, and for the one that was predicted. A map's score is the area below its "
            "insertion curve minus that below its deletion curve, -1 to 1; about 0 says nothing."
        )
        return [self._save(figure, _MAPS, text, wide=True)]

    def _draw_mosaic(self, name: str, cases: list[Case]) -> Picture:
        captions = [(case.true, case.predicted, case.probability, case.id) for case in cases]
        images = read_case_images(self.record.fold_list, cases)
        figure = draw_mosaic(images, captions, f"{_MOSAICS[name]}: {self.record.title}", columns=6)
        text = f"{_MOSAICS[name]}: true and predicted class, and its probability."
        return self._save(figure, name, text, wide=True)

    def _save(self, figure: Any, name: str, text: str, wide: bool = False) -> Picture:
        png, svg = save_figure(figure, self.folder.figures / name)
        self._figures += [png, svg]
        return Picture(png if wide else svg, text, wide)


def _read_best_epoch(path: Path) -> int:
    return int(json.loads(path.read_text(encoding="utf-8"))["best_epoch"])


def _find_kind(path: Path, kinds: Mapping[str, str]) -> str:
    return next(kind for kind in kinds if path.name.startswith(kind))
