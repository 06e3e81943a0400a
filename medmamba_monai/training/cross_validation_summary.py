"""The folds together: mean, standard deviation, ensemble; as tables, figures and the parent's note in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medmamba_monai.data import DatasetCard, FoldList
from medmamba_monai.evaluation import (
    METRICS,
    Predictions,
    RunDescription,
    Summary,
    all_metrics,
    confusion_matrix_figure,
    csv_table,
    ensemble,
    markdown_table,
    pool,
    read_predictions,
    run_note,
    save_figure,
    text_table,
    write_predictions,
)
from medmamba_monai.files import write_json, write_text
from medmamba_monai.training.environment import package_versions
from medmamba_monai.training.tracking import TrackedRun


class CrossValidationSummary:
    """Read the finished folds and put them together.

    With an official test set the folds' models are combined as an ensemble: the mean of their probabilities on it.
    Without one, each image was tested by one model, and the test parts are pooled.

    Args:
        output_dir: folder of the cross-validation.
        card: the dataset's card.
        fold_list: its folds.
        failures: why folds did not finish, by number.
    """

    def __init__(self, output_dir: Path, card: DatasetCard, fold_list: FoldList, failures: Mapping[int, str]) -> None:
        self.output_dir = output_dir
        self.card = card
        self.fold_list = fold_list
        self.failures = failures
        self.results = self._read_results()
        self.combination = "ensemble" if fold_list.protocol == "official-test" else "pooled"
        self.combined = self._combine()
        combined = self._metrics(self.combined) if self.combined is not None else None
        self.test = self._summary("test", combined)
        self.validation = self._summary("validation", None)

    @property
    def text(self) -> str:
        """What the terminal shows at the end."""
        parts = f"{text_table(self.test)}\n{text_table(self.validation)}"
        return f"\n{self.card.title}: {self._what()}\n\n{parts}"

    def write(self) -> None:
        """Write the tables, the combined predictions and their confusion matrix into the output folder."""
        write_text(self.output_dir / "summary.md", f"{markdown_table(self.test)}\n{markdown_table(self.validation)}")
        write_text(self.output_dir / "summary_test.csv", csv_table(self.test))
        write_text(self.output_dir / "summary_validation.csv", csv_table(self.validation))
        write_json(self.output_dir / "summary.json", self.metrics())
        if self.combined is not None:
            write_predictions(self.output_dir / f"{self.combination}_predictions.csv", self.combined)
            figure = confusion_matrix_figure(
                self.combined.labels,
                self.combined.predicted,
                self.card.class_names,
                f"{self.card.title}, {self.combination}, test",
            )
            save_figure(figure, self.output_dir / f"confusion_matrix_{self.combination}")

    def metrics(self) -> dict[str, float]:
        """All numbers by their names in MLflow: ``test/auc_mean``, ``test/auc_std``, ``ensemble/auc``, ..."""
        values: dict[str, float] = {}
        for prefix, summary in (("test", self.test), ("validation_best", self.validation)):
            values |= {f"{prefix}/{name}_mean": value for name, value in summary.mean.items()}
            values |= {f"{prefix}/{name}_std": value for name, value in summary.standard_deviation.items()}
        if self.test.combined is not None:
            values |= {f"{self.combination}/{name}": value for name, value in self.test.combined.items()}
        return {**values, "folds_finished": float(len(self.results))}

    def log(self, run: TrackedRun, command: str, details: Mapping[str, Any]) -> None:
        """Log numbers, files and the note to the parent run."""
        run.journal.log_summary(self.metrics())
        for name in ("summary.md", "summary_test.csv", "summary_validation.csv", f"{self.combination}_predictions.csv"):
            if (self.output_dir / name).is_file():
                run.journal.log_artifact(self.output_dir / name)
        for suffix in (".png", ".svg"):
            figure = self.output_dir / f"confusion_matrix_{self.combination}{suffix}"
            if figure.is_file():
                run.journal.log_artifact(figure, "figures")
        description = RunDescription(
            title=f"{run.run_name}: MedMamba on {self.card.title}",
            dataset=self._what(),
            protocol=self.fold_list.protocol,
            command=command,
            details={**details, "fold digest": self.fold_list.digest},
            versions=package_versions(),
            known_problems=self.card.known_problems,
        )
        run.journal.set_tags({"mlflow.note.content": run_note(description, [self.test, self.validation])})

    def _what(self) -> str:
        training, test = len(self.fold_list.training), len(self.fold_list.test)
        of_them = f"{training} images in {self.fold_list.num_folds} folds"
        return f"{self.card.modality}, {of_them}" + (f", {test} test images" if test else "")

    def _read_results(self) -> dict[int, dict[str, Any]]:
        results = {}
        for fold in range(self.fold_list.num_folds):
            path = self.output_dir / f"fold_{fold}" / "result.json"
            if path.is_file():
                results[fold] = json.loads(path.read_text(encoding="utf-8"))
        return results

    def _combine(self) -> Predictions | None:
        members = [
            read_predictions(self.output_dir / f"fold_{fold}" / "predictions.csv").select("test")
            for fold in self.results
        ]
        if not members:
            return None
        return ensemble(members) if self.combination == "ensemble" else pool(members)

    def _metrics(self, predictions: Predictions) -> dict[str, float]:
        return all_metrics(predictions.probabilities, predictions.labels, task=self.card.task)

    def _summary(self, part: str, combined: Mapping[str, float] | None) -> Summary:
        folds = {
            fold: {name: result["metrics"][part][name] for name in METRICS} for fold, result in self.results.items()
        }
        return Summary(
            part=part,
            num_folds=self.fold_list.num_folds,
            folds=folds,
            combined=combined,
            combination=self.combination,
            reasons=self.failures,
        )
