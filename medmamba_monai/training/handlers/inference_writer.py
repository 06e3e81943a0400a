"""Probabilities of unlabeled images, in a file that names none of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from medmamba_monai.core.files import write_bytes, write_text
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation import (
    ConformalPredictor,
    Predictions,
    Task,
    fit_temperature,
    predict_labels,
    read_predictions,
)
from medmamba_monai.evaluation.answers.prediction import Prediction
from medmamba_monai.evaluation.answers.table import format_predictions
from medmamba_monai.evaluation.csv_text import format_csv


class InferenceWriter:
    """Write the probabilities of unlabeled images to a CSV file, one line an image, without their names.

    File names of medical images often name patients, so ``predictions.csv`` knows the images by their ids alone.
    ``files.csv`` beside it says which id is which file and is meant to stay on this machine.

    Weights that a cross-validation left have predictions of their validation images beside them. From these come the
    set of classes, the doubt and the reason for it; where there are none, a line printed says why they are left out.

    Args:
        path: the CSV file: ``id``, ``predicted``, what `format_predictions` adds where it can, then one probability a
            class. What is predicted is the name of the class, of a multi-label task those of the labels above 0.5,
            joined by semicolons, and nothing if there is none.
        class_names: names in label order.
        task: the dataset's task.
        weights: the file of each network; of several, outputs are ``pred_0``, ``pred_1``, ... beside their mean.
        averaged: whether probabilities are means over views or scales, which those of validation images are not.
    """

    def __init__(
        self,
        path: str | Path,
        class_names: Sequence[str],
        task: Task = "multi-class",
        weights: Sequence[str | Path] = (),
        averaged: bool = False,
    ) -> None:
        self.path = Path(path)
        self.class_names = list(class_names)
        self.task = task
        self.weights = [Path(weights_path) for weights_path in weights]
        self.averaged = averaged
        self._ids: list[str] = []
        self._files: list[list[str]] = []
        self._rows: list[np.ndarray] = []
        self._validated: list[Predictions] | str = []

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator that decollates its batches of ``id``, ``file`` and ``image``."""
        engine.add_event_handler(Events.STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def begin(self, engine: Engine) -> None:
        """Forget the images before, where an engine runs several times, and read what validation found."""
        self._ids, self._files, self._rows = [], [], []
        self._validated = self._read_validation()

    def collect(self, engine: Engine) -> None:
        """Keep the predictions of this batch."""
        state: Any = engine.state
        several = [f"pred_{number}" for number in range(len(self.weights))] if len(self.weights) > 1 else []
        for item, output in zip(state.batch, state.output, strict=True):
            self._ids.append(item["id"])
            self._files.append([item["id"], item["file"]])
            self._rows.append(np.stack([output[key].double().cpu().numpy() for key in ("pred", *several)]))

    def write(self, engine: Engine) -> None:
        """Write both files; bytes of a file's name that are no UTF-8 are written as escapes, and do no harm."""
        key_path = RunFolder(self.path.parent).image_files
        write_bytes(key_path, format_csv(["id", "file"], self._files).encode("utf-8", errors="backslashreplace"))
        rows = np.stack(self._rows)
        if isinstance(self._validated, str):
            write_text(self.path, self._format_probabilities(rows[:, 0]))
        else:
            write_text(self.path, format_predictions(self._judge(rows, self._validated), self._ids))
        print(
            f"{len(rows)} images classified: {self.path}\n"
            f"It names no files. Which image is which says {key_path}: keep that one to yourself."
        )
        if isinstance(self._validated, str):
            print(f"Set, doubt and reason are left out: {self._validated}.")

    def _read_validation(self) -> list[Predictions] | str:
        """Return the validation predictions of each network, or why there are none."""
        if self.averaged:
            return "validation images were not averaged over views or scales, as these are"
        files = [RunFolder(weights.parent).predictions for weights in self.weights]
        missing = [file for file in files if not file.is_file()]
        if missing or not files:
            return f"weights of a finished cross-validation have {missing[0] if missing else 'predictions'} beside them"
        return [read_predictions(file, self.task, self.class_names).select("validation") for file in files]

    def _judge(self, rows: np.ndarray, validated: Sequence[Predictions]) -> Prediction:
        networks = rows[:, 1:] if rows.shape[1] > 1 else rows
        parts = dict(enumerate(validated))
        return Prediction(
            folds={number: networks[:, number] for number in parts},
            class_names=self.class_names,
            task=self.task,
            temperatures={number: fit_temperature(part).value for number, part in parts.items()},
            conformal={} if self.task == "multi-label" else {"LAC": ConformalPredictor.fit(parts, "LAC")},
        )

    def _format_probabilities(self, probabilities: np.ndarray) -> str:
        header = ["id", "predicted", *(f"probability {name}" for name in self.class_names)]
        rows = [
            [name, self._predicted(values), *(f"{value:.6f}" for value in values)]
            for name, values in zip(self._ids, probabilities, strict=True)
        ]
        return format_csv(header, rows)

    def _predicted(self, probabilities: np.ndarray) -> str:
        predicted = predict_labels(probabilities[None], self.task)[0]
        if self.task == "multi-label":
            return "; ".join(name for name, found in zip(self.class_names, predicted, strict=True) if found)
        return self.class_names[int(predicted)]
