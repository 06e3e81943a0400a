"""The folds together: mean, standard deviation, ensemble; as tables, figures and the parent's note in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medmamba_monai.cards import DatasetCard
from medmamba_monai.core.files import write_json, write_text
from medmamba_monai.data import FoldList
from medmamba_monai.evaluation import (
    METRICS,
    ClassSummary,
    Predictions,
    RunDescription,
    Summary,
    all_metrics,
    class_auc_metrics,
    class_csv_table,
    class_markdown_table,
    class_summary,
    csv_table,
    ensemble,
    markdown_table,
    pool,
    read_predictions,
    run_note,
    save_predictions_figure,
    text_table,
    write_predictions,
)
from medmamba_monai.tracking.environment import read_package_versions
from medmamba_monai.tracking.run import TrackedRun


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
        self.figures: tuple[Path, ...] = ()
        self.results = self._read_results()
        self.combination = "ensemble" if fold_list.protocol == "official-test" else "pooled"
        self.class_names = card.display_names
        self.tested = self._tested()
        self.combined = self._combine()
        self.classes: ClassSummary | None = None
        combined = None
        if self.combined is not None:
            self.classes = class_summary(self.tested, self.combined, self.class_names, self.combination)
            combined = self._metrics(self.combined)
        self.test = self._summary("test", combined)
        self.validation = self._summary("validation", None)

    @property
    def text(self) -> str:
        """What the terminal shows at the end."""
        parts = f"{text_table(self.test)}\n{text_table(self.validation)}"
        return f"\n{self.card.title}: {self.what}\n\n{parts}"

    def write(self) -> None:
        """Write the tables, the combined predictions and their figure into the output folder."""
        tables = [markdown_table(self.test), markdown_table(self.validation)]
        write_text(self.output_dir / "summary_test.csv", csv_table(self.test))
        write_text(self.output_dir / "summary_validation.csv", csv_table(self.validation))
        write_json(self.output_dir / "summary.json", self.metrics())
        if self.combined is not None and self.classes is not None:
            tables.append(class_markdown_table(self.classes))
            write_text(self.output_dir / self._classes_file, class_csv_table(self.classes))
            write_predictions(self.output_dir / f"{self.combination}_predictions.csv", self.combined)
            title = f"{self.card.title}, {self.combination}, test"
            self.figures = save_predictions_figure(
                self.combined, self.class_names, title, self.output_dir, self.combination
            )
        write_text(self.output_dir / "summary.md", "\n".join(tables))

    def metrics(self) -> dict[str, float]:
        """All numbers by their names in MLflow: ``test/auc_mean``, ``test/auc_std``, ``ensemble/auc``, ...

        Of a multi-label task also the AUC of each label: ``test_auc/hernia_mean``, ``ensemble_auc/hernia``, ...
        """
        values: dict[str, float] = {}
        for prefix, summary in (("test", self.test), ("validation_best", self.validation)):
            values |= {f"{prefix}/{name}_mean": value for name, value in summary.mean.items()}
            values |= {f"{prefix}/{name}_std": value for name, value in summary.standard_deviation.items()}
        if self.test.combined is not None:
            values |= {f"{self.combination}/{name}": value for name, value in self.test.combined.items()}
        if self.classes is not None and self.card.task == "multi-label":
            values |= class_auc_metrics(self.classes)
        return {**values, "folds_finished": float(len(self.results))}

    def log(self, run: TrackedRun, title: str, command: str, details: Mapping[str, Any]) -> None:
        """Log numbers, the files that `write` left and the note to the parent run.

        Args:
            run: the parent run.
            title: of the note.
            command: that makes the run again.
            details: names and values worth knowing.
        """
        run.journal.log_summary(self.metrics())
        names = ["summary.md", "summary_test.csv", "summary_validation.csv"]
        if self.combined is not None:
            names += [self._classes_file, f"{self.combination}_predictions.csv"]
        for name in names:
            run.journal.log_artifact(self.output_dir / name)
        for figure in self.figures:
            run.journal.log_artifact(figure, "figures")
        description = RunDescription(
            title=title,
            dataset=self.what,
            protocol=self.fold_list.protocol,
            command=command,
            details={**details, "fold digest": self.fold_list.digest},
            versions=read_package_versions(),
            known_problems=self.card.known_problems,
        )
        run.journal.set_tags({"mlflow.note.content": run_note(description, [self.test, self.validation])})

    @property
    def what(self) -> str:
        """One line on the data."""
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

    @property
    def _classes_file(self) -> str:
        return "summary_labels.csv" if self.card.task == "multi-label" else "summary_classes.csv"

    def _tested(self) -> list[Predictions]:
        files = [self.output_dir / f"fold_{fold}" / "predictions.csv" for fold in self.results]
        return [read_predictions(path).select("test") for path in files]

    def _combine(self) -> Predictions | None:
        if not self.tested:
            return None
        return ensemble(self.tested) if self.combination == "ensemble" else pool(self.tested)

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
            task=self.card.task,
        )
