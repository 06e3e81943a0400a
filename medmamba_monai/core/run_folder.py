"""The folder of a run: the name of every file that a training, a cross-validation or a comparison leaves.

It stands on the lowest floor since each room above it reads or writes some of these files: tracking the journal,
training the checkpoints and predictions, cross-validation the summary and the review.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """The paths of a run's files. Nothing is read, made or looked up on disk until a path is used.

    A cross-validation is a run whose folder holds one `fold` folder for each of its folds, which are runs themselves.
    ``Path(folder)`` and ``os.fspath(folder)`` give the folder itself.

    Args:
        path: the folder.
    """

    path: Path

    def __init__(self, path: str | os.PathLike[str]) -> None:
        object.__setattr__(self, "path", Path(path))

    def __fspath__(self) -> str:
        """Return the folder's path as a text."""
        return str(self.path)

    # every run

    @property
    def lock(self) -> Path:
        """File that the process working in the folder keeps locked."""
        return self.path / ".lock"

    @property
    def lease(self) -> Path:
        """File that a process keeps touching while it works in the folder, where other machines see the folder too."""
        return self.path / ".lease"

    @property
    def journal(self) -> Path:
        """Everything that the run logged, one JSON object a line."""
        return self.path / "tracking.jsonl"

    @property
    def mlflow_state(self) -> Path:
        """Which MLflow run this is, and how much of the journal it has."""
        return self.path / "mlflow.json"

    @property
    def sending_lock(self) -> Path:
        """File that is locked while the journal is being sent."""
        return self.path / ".mlflow.lock"

    @property
    def figures(self) -> Path:
        """Folder of the figures of a review or a comparison."""
        return self.path / "figures"

    @property
    def report(self) -> Path:
        """Page on a reviewed cross-validation, or on a comparison."""
        return self.path / "report.html"

    # a training and its evaluation

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints that a training goes on from."""
        return self.path / "checkpoints"

    @property
    def weights(self) -> Path:
        """Weights of the best epoch, a state dict as MONAI reads it."""
        return self.path / "model.pt"

    @property
    def safetensors(self) -> Path:
        """The same weights as safetensors, with what they were trained for in the header."""
        return self.path / "model.safetensors"

    @property
    def predictions(self) -> Path:
        """Probabilities of each image that an evaluation or an inference saw."""
        return self.path / "predictions.csv"

    @property
    def image_files(self) -> Path:
        """Which id is which image file of an inference; names of files stay on the user's machine."""
        return self.path / "files.csv"

    @property
    def metrics(self) -> Path:
        """Metrics of an evaluation, by part of the data."""
        return self.path / "metrics.json"

    # the process of a fold

    @property
    def job(self) -> Path:
        """What the fold's process was told to do."""
        return self.path / "job.json"

    @property
    def gpu_memory(self) -> Path:
        """What the fold's training takes of its GPU."""
        return self.path / "gpu_memory.json"

    @property
    def cluster_job(self) -> Path:
        """Which job of a cluster the fold was given to last."""
        return self.path / "cluster_job.json"

    @property
    def exit_code(self) -> Path:
        """With what exit code the fold's process ended as a job of a cluster, and which job that was."""
        return self.path / "exit_code.json"

    @property
    def log(self) -> Path:
        """Log of the fold's process."""
        return self.path / "log.txt"

    @property
    def executed_config(self) -> Path:
        """The fold's config as it ran, without private values."""
        return self.path / "executed_config.json"

    @property
    def training(self) -> Path:
        """Epochs, best epoch and duration of the fold's training."""
        return self.path / "training.json"

    @property
    def result(self) -> Path:
        """Training and metrics of the fold together; it is there once the fold is finished."""
        return self.path / "result.json"

    # a cross-validation

    def fold(self, number: int) -> RunFolder:
        """Return the folder of one fold, a number from 0."""
        return RunFolder(self.path / f"fold_{number}")

    def find_folds(self) -> list[int]:
        """Look up the numbers of the folds that have a folder, ascending."""
        matches = (re.fullmatch(r"fold_(\d+)", path.name) for path in self.path.glob("fold_*"))
        return sorted(int(match[1]) for match in matches if match)

    @property
    def settings(self) -> Path:
        """What must be the same when a cross-validation goes on."""
        return self.path / "settings.json"

    @property
    def choices(self) -> Path:
        """What a cross-validation was told for privacy, which binds whatever works on it later."""
        return self.path / "choices.json"

    def job_logs(self, launcher: str) -> Path:
        """Return the folder of the scripts and logs of folds that were jobs.

        Args:
            launcher: ``slurm`` or ``ray``.
        """
        return self.path / launcher

    @property
    def description(self) -> Path:
        """What a cross-validation is of, so that it can be reviewed again."""
        return self.path / "description.json"

    @property
    def summary(self) -> Path:
        """All numbers of the folds together."""
        return self.path / "summary.json"

    @property
    def summary_text(self) -> Path:
        """The tables of the folds together, in Markdown."""
        return self.path / "summary.md"

    def summary_table(self, part: str) -> Path:
        """Return the file of a table of the folds together.

        Args:
            part: ``test``, ``validation``, ``classes`` or ``labels``.
        """
        return self.path / f"summary_{part}.csv"

    def combined_predictions(self, combination: str) -> Path:
        """Return the file of the folds' combined probabilities.

        Args:
            combination: ``ensemble`` or ``pooled``.
        """
        return self.path / f"{combination}_predictions.csv"

    @property
    def review(self) -> Path:
        """The review's figures of merit with intervals, for programs."""
        return self.path / "review.json"

    @property
    def review_table(self) -> Path:
        """The same as a table."""
        return self.path / "review.csv"

    @property
    def attention(self) -> Path:
        """Folder of what the networks looked at in slides."""
        return self.path / "attention"

    @property
    def robustness(self) -> Path:
        """What corrupted test images cost, for programs."""
        return self.path / "robustness.json"

    @property
    def robustness_report(self) -> Path:
        """The same as a page."""
        return self.path / "robustness.html"

    def corrupted_predictions(self, corruption: str, severity: int) -> Path:
        """Return the file of the probabilities of corrupted test images.

        Args:
            corruption: its name; ``none`` for the images as they are.
            severity: 1 to 5; 0 for the images as they are.
        """
        return self.path / "robustness" / f"{corruption}_{severity}.json"

    @property
    def explanations(self) -> Path:
        """Folder of maps of what speaks for a class, and their page."""
        return self.path / "explanations"

    # a federation

    @property
    def federation(self) -> Path:
        """What the server of a federation keeps: what the sites said, and metrics of each round."""
        return self.path / "federation.json"

    @property
    def joined(self) -> Path:
        """Which federation the folder of a site is of."""
        return self.path / "joined.json"

    @property
    def progress(self) -> Path:
        """What the server of a federation goes on with: a fold's weights after the last round, and the best."""
        return self.path / "progress.safetensors"

    @property
    def begun_rounds(self) -> Path:
        """After which epoch a site began each round of a fold."""
        return self.path / "rounds.json"

    # a comparison

    @property
    def comparison(self) -> Path:
        """The comparison of several cross-validations, for programs."""
        return self.path / "comparison.json"

    @property
    def comparison_text(self) -> Path:
        """The same as Markdown."""
        return self.path / "comparison.md"
