"""What an evaluation leaves behind: predictions, metrics and a confusion matrix, in files and in MLflow."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from medmamba_monai.evaluation import (
    METRICS,
    Predictions,
    all_metrics,
    confusion_matrix_figure,
    per_class_metrics,
    save_figure,
    write_predictions,
)
from medmamba_monai.files import write_json, write_text
from medmamba_monai.training.scores import probabilities_and_labels
from medmamba_monai.training.tracking import TrackedRun

METRIC_PREFIX = {"validation": "validation_best", "test": "test"}
"""How the metrics of the two parts are named in MLflow; ``validation/...`` are the curves of the training."""


def evaluation_items(parts: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The samples that training did not learn from, each with its ``part``: validation first, then test.

    Args:
        parts: samples of a fold by part, as ``FoldList.parts`` gives them.
    """
    return [{**item, "part": part} for part in ("validation", "test") for item in parts[part]]


class EvaluationReport:
    """Collect an evaluator's predictions and write them with their metrics.

    Writes ``predictions.csv``, ``metrics.json`` and a confusion matrix of each part (PNG and SVG) into ``output_dir``,
    and logs them to the run, which is begun and ended here where no training began it.

    Args:
        output_dir: folder of the files.
        class_names: names in label order.
        title: title of the figures.
        task: the dataset's task.
        run: where to log; None for files alone.
    """

    def __init__(
        self,
        output_dir: str | Path,
        class_names: Sequence[str],
        title: str,
        task: str = "multi-class",
        run: TrackedRun | None = None,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.class_names = list(class_names)
        self.title = title
        self.task = task
        self.run = run
        self._ids: list[str] = []
        self._parts: list[str] = []
        self._probabilities: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator that decollates its batches."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.COMPLETED, self.report)

    def collect(self, engine: Engine) -> None:
        """Keep the predictions of this batch."""
        state: Any = engine.state
        probabilities, labels = probabilities_and_labels(state.output)
        self._probabilities.append(probabilities.double().cpu().numpy())
        self._labels.append(labels.cpu().numpy())
        self._ids.extend(item["id"] for item in state.batch)
        self._parts.extend(item["part"] for item in state.batch)

    def report(self, engine: Engine) -> None:
        """Write and log everything."""
        predictions = Predictions(
            ids=tuple(self._ids),
            parts=tuple(self._parts),
            labels=np.concatenate(self._labels),
            probabilities=np.concatenate(self._probabilities),
        )
        path = self.output_dir / "predictions.csv"
        write_predictions(path, predictions)
        metrics = {part: self._report_part(predictions.select(part), part) for part in dict.fromkeys(self._parts)}
        metrics_path = self.output_dir / "metrics.json"
        write_json(metrics_path, metrics)
        if self.run is not None:
            self._log(self.run, metrics, (path, metrics_path))

    def _log(self, run: TrackedRun, metrics: Mapping[str, Mapping[str, Any]], files: Sequence[Path]) -> None:
        ends_here = not run.journal.started
        if ends_here:
            run.start()
        for part, values in metrics.items():
            run.journal.log_summary({f"{METRIC_PREFIX[part]}/{name}": values[name] for name in METRICS})
            for suffix in (".png", ".svg"):
                run.journal.log_artifact(self._figure(part).with_suffix(suffix), "figures")
        for path in files:
            run.journal.log_artifact(path)
        if ends_here:
            run.finish("FINISHED")
        run.send()

    def _figure(self, part: str) -> Path:
        return self.output_dir / f"confusion_matrix_{part}"

    def _report_part(self, predictions: Predictions, part: str) -> dict[str, Any]:
        values: dict[str, Any] = all_metrics(predictions.probabilities, predictions.labels, task=self.task)
        values["per_class"] = per_class_metrics(predictions.probabilities, predictions.labels, task=self.task)
        figure = confusion_matrix_figure(
            predictions.labels, predictions.probabilities.argmax(axis=1), self.class_names, f"{self.title}, {part}"
        )
        save_figure(figure, self._figure(part))
        return values


class InferenceWriter:
    """Write the probabilities of unlabeled images to a CSV file, one line an image.

    Args:
        path: the CSV file: ``id``, ``predicted`` (class name), then one probability a class.
        class_names: names in label order.
    """

    def __init__(self, path: str | Path, class_names: Sequence[str]) -> None:
        self.path = Path(path)
        self.class_names = list(class_names)
        self._rows: list[list[str]] = []

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator that decollates its batches."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def collect(self, engine: Engine) -> None:
        """Keep the predictions of this batch."""
        state: Any = engine.state
        for item, output in zip(state.batch, state.output, strict=True):
            probabilities = output["pred"].double().cpu().numpy()
            predicted = self.class_names[int(probabilities.argmax())]
            self._rows.append([item["id"], predicted, *(f"{value:.6f}" for value in probabilities)])

    def write(self, engine: Engine) -> None:
        """Write the file."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", "predicted", *(f"probability {name}" for name in self.class_names)])
        writer.writerows(self._rows)
        write_text(self.path, text.getvalue())
        print(f"{len(self._rows)} images classified: {self.path}")
