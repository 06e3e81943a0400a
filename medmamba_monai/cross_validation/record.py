"""The folds together, with the data that they are of: written into their folder, and logged to the parent run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medmamba_monai.cards import DatasetCard
from medmamba_monai.core.defaults import RESAMPLES
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import FoldList
from medmamba_monai.evaluation import CrossValidationResult, read_predictions
from medmamba_monai.evaluation.figures.confusion import save_predictions_figure
from medmamba_monai.evaluation.reports.files import write_summary
from medmamba_monai.evaluation.reports.note import NO_EPOCHS, RunDescription, format_note
from medmamba_monai.evaluation.reports.summary_tables import format_summary_text
from medmamba_monai.evaluation.results.files import name_summary_values
from medmamba_monai.tracking.environment import read_package_versions
from medmamba_monai.tracking.run import TrackedRun


@dataclass
class ResultRecord:
    """A result with the data that it is of.

    Attributes:
        result: of the cross-validation.
        folder: of its files.
        card: the dataset's card.
        fold_list: its folds.
        figures: pictures of the combination that `write` left.
    """

    result: CrossValidationResult
    folder: RunFolder
    card: DatasetCard
    fold_list: FoldList
    figures: tuple[Path, ...] = ()
    _files: list[Path] = field(default_factory=list, repr=False)

    @property
    def description(self) -> str:
        """One line on the data."""
        training, test = len(self.fold_list.training), len(self.fold_list.test)
        of_them = f"{training} images in {self.fold_list.num_folds} folds"
        return f"{self.card.modality}, {of_them}" + (f", {test} test images" if test else "")

    @property
    def title(self) -> str:
        """What the figures of the combination are of."""
        return f"{self.card.title}, {self.result.combination}, test"

    @property
    def remark(self) -> str:
        """What the words of the protocol do not say of the models."""
        results = [self.folder.fold(fold).result.read_text(encoding="utf-8") for fold in self.result.folds]
        return NO_EPOCHS if any("probe" in json.loads(text) for text in results) else ""

    @property
    def text(self) -> str:
        """What the terminal shows at the end."""
        tables = (format_summary_text(self.result.test), format_summary_text(self.result.best_validation))
        return f"\n{self.card.title}: {self.description}\n\n" + "\n".join(tables)

    def write(self) -> None:
        """Write the tables, the combined predictions and their figure into the folder."""
        self._files = write_summary(self.result, self.folder)
        if self.result.combined is not None:
            combination = self.result.combination
            self.figures = save_predictions_figure(self.result.combined, self.title, self.folder.path, combination)

    def log(self, run: TrackedRun, title: str, command: str, details: Mapping[str, Any]) -> None:
        """Log numbers, the files that `write` left and the note to the parent run.

        Args:
            run: the parent run.
            title: of the note.
            command: that makes the run again.
            details: names and values worth knowing.
        """
        run.journal.log_summary(name_summary_values(self.result))
        for path in self._files:
            run.journal.log_artifact(path)
        for path in self.figures:
            run.journal.log_artifact(path, "figures")
        described = RunDescription(
            title=title,
            dataset=self.description,
            protocol=self.fold_list.protocol,
            command=command,
            details={**details, "fold digest": self.fold_list.digest},
            versions=read_package_versions(),
            known_problems=self.card.known_problems,
            remark=self.remark,
        )
        note = format_note(described, [self.result.test, self.result.best_validation])
        run.journal.set_tags({"mlflow.note.content": note})


def read_record(
    directory: Path,
    card: DatasetCard,
    fold_list: FoldList,
    failures: Mapping[int, str],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> ResultRecord:
    """Read the finished folds and put them together.

    With a test set, official or held out, the folds' models are combined as an ensemble: the mean of their
    probabilities on it. Without one, each image was tested by one model, and the test parts are pooled.

    Args:
        directory: folder of the cross-validation.
        card: the dataset's card.
        fold_list: its folds.
        failures: why folds did not finish, by number.
        resamples: of each bootstrap.
        seed: of the resampling.

    Raises:
        UserError: the predictions of a fold cannot be read, or do not fit those of the others.
    """
    folder = RunFolder(directory)
    finished = [fold for fold in range(fold_list.num_folds) if folder.fold(fold).result.is_file()]
    result = CrossValidationResult(
        task=card.task,
        class_names=card.display_names,
        combination="ensemble" if fold_list.has_test_set else "pooled",
        num_folds=fold_list.num_folds,
        folds={
            fold: read_predictions(folder.fold(fold).predictions, card.task, card.display_names) for fold in finished
        },
        reasons=failures,
        resamples=resamples,
        seed=seed,
        directory=folder.path,
    )
    return ResultRecord(result, folder, card, fold_list)
