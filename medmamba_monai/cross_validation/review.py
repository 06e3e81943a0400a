"""The review of a cross-validation from what its folds left: numbers, pictures and the report, also in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medmamba_monai.core.files import write_json, write_text
from medmamba_monai.cross_validation.review_inputs import case_images, class_balance, read_history
from medmamba_monai.cross_validation.summary import CrossValidationSummary
from medmamba_monai.evaluation import Predictions, read_predictions
from medmamba_monai.evaluation.figures.folds import class_balance_figure, fold_dots_figure, learning_curves_figure
from medmamba_monai.evaluation.figures.images import mosaic_figure
from medmamba_monai.evaluation.figures.review import save_review_figures
from medmamba_monai.evaluation.figures.style import save_figure
from medmamba_monai.evaluation.reports.page import Picture, write_report
from medmamba_monai.evaluation.reports.review import ReportContext, review_report
from medmamba_monai.evaluation.reports.review_tables import review_csv, review_json, review_values
from medmamba_monai.evaluation.results.mistakes import Case, confident_mistakes, least_certain
from medmamba_monai.evaluation.results.review import Review, review_folds
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.tracking.environment import read_package_versions
from medmamba_monai.tracking.run import TrackedRun

CASES = 12
"""Images in a mosaic."""

_MOSAICS = {"mistakes": "The most confident mistakes", "least_certain": "The least certain cases"}
_CURVES = ("train/loss", "validation/loss", "validation/auc")


class CrossValidationReview:
    """Compute the review of the finished folds and write it into the folder of the cross-validation.

    Args:
        summary: the finished folds, read.
        resamples: of each bootstrap.
        seed: of the resampling.
        images_left_out: why no images of mistakes are put into the report; empty to put them in, from where they reach
            the tracking server.
    """

    def __init__(self, summary: CrossValidationSummary, resamples: int, seed: int, images_left_out: str = "") -> None:
        self.summary = summary
        self.directory = summary.output_dir
        self.figures_dir = summary.output_dir / "figures"
        self.images_left_out = images_left_out
        folds = {fold: self._predictions(fold) for fold in summary.results}
        task, names = summary.card.task, summary.class_names
        self.review: Review = review_folds(folds, task, names, summary.combination, resamples, seed)
        self.title = f"{summary.card.title}, {summary.combination}, test"
        self._figures: list[Path] = []

    def write(self, title: str, command: str, details: Mapping[str, Any]) -> None:
        """Write ``review.json``, ``review.csv``, the figures and ``report.html``.

        Args:
            title: of the report.
            command: that makes the run again.
            details: names and values worth knowing.
        """
        write_json(self.directory / "review.json", review_json(self.review))
        write_text(self.directory / "review.csv", review_csv(self.review))
        context = self._context(title, command, details)
        write_report(self.directory / "report.html", review_report(self.review, context))

    def log(self, run: TrackedRun) -> None:
        """Log what `write` left to the parent run."""
        resampling = self.review.intervals.resampling
        run.journal.log_params(
            {
                "bootstrap_resamples": resampling.resamples,
                "bootstrap_seed": resampling.seed,
                "bootstrap_units": resampling.units,
            }
        )
        run.journal.log_summary(review_values(self.review))
        for name in ("report.html", "review.json", "review.csv"):
            run.journal.log_artifact(self.directory / name)
        for path in self._figures:
            run.journal.log_artifact(path, "figures")

    def _context(self, title: str, command: str, details: Mapping[str, Any]) -> ReportContext:
        card, fold_list = self.summary.card, self.summary.fold_list
        cases, note = self._case_pictures()
        return ReportContext(
            title=title,
            dataset=self.summary.what,
            description=card.description,
            license=card.license.name,
            intended_use=card.intended_use,
            known_problems=[*card.known_problems, *fold_list.count_mismatch],
            protocol=fold_list.protocol,
            num_folds=fold_list.num_folds,
            command=command,
            versions=read_package_versions(),
            missing={fold: self.summary.failures.get(fold, "not finished") for fold in self.summary.test.missing},
            details={**details, "fold digest": fold_list.digest[:12]},
            curves=self._curve_pictures(),
            cases=cases,
            trainings=self._training_pictures(),
            cases_note=note,
        )

    def _curve_pictures(self) -> list[Picture]:
        paths = save_review_figures(self.review, self.title, self.figures_dir)
        self._figures += paths
        texts = {
            "roc": "ROC of the combination; of several folds the band is their mean and standard deviation.",
            "precision_recall": "Precision against recall, likewise.",
            "reliability": "How often it is true what the network is sure of, before and after temperature scaling.",
        }
        drawn = [Picture(path, texts[_kind(path, texts)]) for path in paths if path.suffix == ".svg"]
        text = "How each label was told." if self.review.task == "multi-label" else "What was taken for what."
        return [*(Picture(path, text) for path in self.summary.figures if path.suffix == ".svg"), *drawn]

    def _training_pictures(self) -> list[Picture]:
        card, results = self.summary.card, self.summary.results
        published = [
            (f"{found.model}, {found.source.split(',')[0]}", found.accuracy, found.auc)
            for found in card.published_results
        ]
        limits = {
            name: (found.low, found.high)
            for name in ("accuracy", "auc")
            if isinstance(found := self.review.intervals.metrics[name], Interval)
        }
        combination, metrics = self.review.combination, self.review.metrics
        dots = fold_dots_figure(self.review.fold_metrics, metrics, self.title, published, limits, combination)
        text = "Each fold, their combination" + (", and published results." if published else ".")
        pictures = [self._save(dots, "folds", text)]
        histories = {fold: read_history(self.directory / f"fold_{fold}") for fold in results}
        if all(name in history for history in histories.values() for name in _CURVES):
            best = {fold: result["best_epoch"] for fold, result in results.items()}
            curves = learning_curves_figure(histories, card.title, best)
            pictures.append(self._save(curves, "learning_curves", "Loss and validation AUC of all folds by epoch."))
        balance = class_balance_figure(
            class_balance(card, self.summary.fold_list), self.summary.class_names, card.title
        )
        return [*pictures, self._save(balance, "class_balance", "How the classes are divided.")]

    def _case_pictures(self) -> tuple[list[Picture], str]:
        """Mosaics of images, and where there are none the reason; those of an earlier review are removed."""
        for name in _MOSAICS:
            for path in self.figures_dir.glob(f"{name}.*"):
                path.unlink()
        if self.images_left_out:
            return [], self.images_left_out
        names, combined = self.summary.class_names, self.review.combined
        mistakes = confident_mistakes(combined, names, CASES)
        found = {"mistakes": mistakes, "least_certain": least_certain(combined, names, CASES)}
        pictures = [self._mosaic(name, cases) for name, cases in found.items() if cases]
        return pictures, "" if mistakes else "No test image was classified wrongly. These were the closest calls."

    def _mosaic(self, name: str, cases: list[Case]) -> Picture:
        captions = [(case.true, case.predicted, case.probability, case.id) for case in cases]
        images = case_images(self.summary.fold_list, cases)
        figure = mosaic_figure(images, captions, f"{_MOSAICS[name]}: {self.title}", columns=6)
        text = f"{_MOSAICS[name]}: true and predicted class, and its probability."
        return self._save(figure, name, text, wide=True)

    def _save(self, figure: Any, name: str, text: str, wide: bool = False) -> Picture:
        png, svg = save_figure(figure, self.figures_dir / name)
        self._figures += [png, svg]
        return Picture(png if wide else svg, text, wide)

    def _predictions(self, fold: int) -> Predictions:
        return read_predictions(self.directory / f"fold_{fold}" / "predictions.csv")


def _kind(path: Path, kinds: Mapping[str, str]) -> str:
    return next(kind for kind in kinds if path.name.startswith(kind))
