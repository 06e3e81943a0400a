"""Probabilities of unlabeled images, in a file that names none of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from medmamba_monai.core.files import write_bytes, write_text
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation import Task, predict_labels
from medmamba_monai.evaluation.csv_text import format_csv


class InferenceWriter:
    """Write the probabilities of unlabeled images to a CSV file, one line an image, without their names.

    File names of medical images often name patients, so ``predictions.csv`` knows the images by their ids alone.
    ``files.csv`` beside it says which id is which file and is meant to stay on this machine.

    Args:
        path: the CSV file: ``id``, ``predicted``, then one probability a class. What is predicted is the name of the
            class, of a multi-label task those of the labels above 0.5, joined by semicolons, and nothing if there is
            none.
        class_names: names in label order.
        task: the dataset's task.
    """

    def __init__(self, path: str | Path, class_names: Sequence[str], task: Task = "multi-class") -> None:
        self.path = Path(path)
        self.class_names = list(class_names)
        self.task = task
        self._rows: list[list[str]] = []
        self._files: list[list[str]] = []

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator that decollates its batches of ``id``, ``file`` and ``image``."""
        engine.add_event_handler(Events.STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def begin(self, engine: Engine) -> None:
        """Forget the images before, where an engine runs several times."""
        self._rows, self._files = [], []

    def collect(self, engine: Engine) -> None:
        """Keep the predictions of this batch."""
        state: Any = engine.state
        for item, output in zip(state.batch, state.output, strict=True):
            probabilities = output["pred"].double().cpu().numpy()
            self._rows.append(
                [item["id"], self._predicted(probabilities), *(f"{value:.6f}" for value in probabilities)]
            )
            self._files.append([item["id"], item["file"]])

    def write(self, engine: Engine) -> None:
        """Write both files; bytes of a file's name that are no UTF-8 are written as escapes, and do no harm."""
        key_path = RunFolder(self.path.parent).image_files
        write_bytes(key_path, format_csv(["id", "file"], self._files).encode("utf-8", errors="backslashreplace"))
        header = ["id", "predicted", *(f"probability {name}" for name in self.class_names)]
        write_text(self.path, format_csv(header, self._rows))
        print(
            f"{len(self._rows)} images classified: {self.path}\n"
            f"It names no files. Which image is which says {key_path}: keep that one to yourself."
        )

    def _predicted(self, probabilities: np.ndarray) -> str:
        predicted = predict_labels(probabilities[None], self.task)[0]
        if self.task == "multi-label":
            return "; ".join(name for name, found in zip(self.class_names, predicted, strict=True) if found)
        return self.class_names[int(predicted)]
