"""What an evaluation leaves behind: predictions, metrics and a figure, in files and in MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation import CATALOGUE, METRICS, Predictions, Task
from medmamba_monai.evaluation.figures.confusion import save_predictions_figure
from medmamba_monai.evaluation.figures.result import save_curves
from medmamba_monai.evaluation.results.fold_files import name_evaluation_values, write_evaluation
from medmamba_monai.evaluation.results.formatting import format_value
from medmamba_monai.tracking.run import TrackedRun
from medmamba_monai.training.handlers.epoch_score import probabilities_and_labels


def select_evaluation_items(parts: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Select the samples that training did not learn from, each with its ``part``: validation first, then test.

    Args:
        parts: samples of a fold by part, as ``FoldList.parts`` gives them.
    """
    return [{**item, "part": part} for part in ("validation", "test") for item in parts[part]]


class EvaluationReport:
    """Collect an evaluator's predictions and write them with their metrics.

    Writes ``predictions.csv``, ``metrics.json`` and figures of each part (PNG and SVG) into ``output_dir``, and logs
    them to the run, which is begun and ended here where no training began it. The figures are a confusion matrix, or
    the labels one by one where an image has several, and the curves of ROC and of precision against recall.
    ``metrics.json`` holds for each part the six metrics, Cohen's kappa (not of several labels) and, in ``per_class``,
    the metrics and counts of each class by its name.

    Args:
        output_dir: folder of the files.
        class_names: names in label order, as a reader shall see them.
        title: title of the figures.
        task: the dataset's task, one of `medmamba_monai.evaluation.TASKS`.
        run: where to log; None for files alone.
        tags: of the run, such as whether test-time augmentation was used.
    """

    def __init__(
        self,
        output_dir: str | Path,
        class_names: Sequence[str],
        title: str,
        task: Task = "multi-class",
        run: TrackedRun | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.class_names = list(class_names)
        self.title = title
        self.task = task
        self.run = run
        self.tags = dict(tags or {})
        self._ids: list[str] = []
        self._parts: list[str] = []
        self._groups: list[str] = []
        self._probabilities: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []
        self._figures: list[Path] = []

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator that decollates its batches."""
        engine.add_event_handler(Events.STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.COMPLETED, self.report)

    def begin(self, engine: Engine) -> None:
        """Forget the evaluation before, where an engine runs several times."""
        self._ids, self._parts, self._groups = [], [], []
        self._probabilities, self._labels, self._figures = [], [], []

    def collect(self, engine: Engine) -> None:
        """Keep the predictions of this batch."""
        state: Any = engine.state
        probabilities, labels = probabilities_and_labels(state.output)
        self._probabilities.append(probabilities.double().cpu().numpy())
        self._labels.append(labels.cpu().numpy())
        self._ids.extend(item["id"] for item in state.batch)
        self._parts.extend(item["part"] for item in state.batch)
        self._groups.extend(item["group"] for item in state.batch if "group" in item)

    def report(self, engine: Engine) -> None:
        """Write and log everything."""
        predictions = Predictions(
            probabilities=np.concatenate(self._probabilities),
            labels=np.concatenate(self._labels),
            task=self.task,
            groups=self._groups or None,
            ids=self._ids,
            parts=self._parts,
            class_names=self.class_names,
        )
        self.write(predictions)

    def write(self, predictions: Predictions) -> dict[str, Any]:
        """Write and log predictions that were made elsewhere; returns the metrics of each part."""
        folder = RunFolder(self.output_dir)
        metrics = write_evaluation(folder, predictions)
        for part in metrics:
            self._draw(predictions.select(part), part)
        if self.run is not None:
            self._log(self.run, name_evaluation_values(metrics, predictions), (folder.predictions, folder.metrics))
        if self.run is None or self.run.parent is None:
            self._print(metrics)
        return metrics

    def _log(self, run: TrackedRun, values: Mapping[str, float], files: Sequence[Path]) -> None:
        ends_here = not run.journal.started
        if ends_here:
            run.start()
        if self.tags:
            run.journal.set_tags(self.tags)
        run.journal.log_summary(values)
        for path in self._figures:
            run.journal.log_artifact(path, "figures")
        for path in files:
            run.journal.log_artifact(path)
        if ends_here:
            run.finish("FINISHED")
        run.send()

    def _print(self, metrics: Mapping[str, Mapping[str, Any]]) -> None:
        """Print the result of an evaluation of its own; a cross-validation has tables of all folds at its end."""
        for part, values in metrics.items():
            numbers = (f"{CATALOGUE[name].title} {format_value(name, values[name])}" for name in METRICS)
            print(f"{part}: {', '.join(numbers)}")
        print(f"predictions, metrics and figures: {self.output_dir}", flush=True)

    def _draw(self, predictions: Predictions, part: str) -> None:
        title = f"{self.title}, {part}"
        self._figures += save_predictions_figure(predictions, title, self.output_dir, part)
        self._figures += save_curves([predictions], predictions, title, self.output_dir, part)
