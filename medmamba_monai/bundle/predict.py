"""Probabilities of an inference, kept in memory as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from ignite.engine import Engine, Events

from medmamba_monai.evaluation import Task, predict_labels


class PredictionCollector:
    """Collect the probabilities of an inference, in the place of `InferenceWriter`.

    Args:
        class_names: names in label order.
        task: the dataset's task.
    """

    def __init__(self, class_names: Sequence[str], task: Task) -> None:
        self.class_names = list(class_names)
        self.task = task
        self._names: list[str] = []
        self._rows: list[np.ndarray] = []

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator that decollates its batches of ``file`` and ``image``."""
        engine.add_event_handler(Events.STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)

    def begin(self, engine: Engine) -> None:
        """Forget the images before, where an engine runs several times."""
        self._names, self._rows = [], []

    def collect(self, engine: Engine) -> None:
        """Keep the predictions of this batch."""
        state: Any = engine.state
        for item, output in zip(state.batch, state.output, strict=True):
            self._names.append(item["file"])
            self._rows.append(output["pred"].double().cpu().numpy())

    def make_table(self) -> pd.DataFrame:
        """Return a row for each image: the class or, of a multi-label task, the classes, and their probabilities."""
        probabilities = np.stack(self._rows)
        predicted = [self._name(labels) for labels in predict_labels(probabilities, self.task)]
        table = pd.DataFrame(probabilities, pd.Index(self._names, name="image"), self.class_names)
        table.insert(0, "predicted", predicted)
        return table

    def _name(self, labels: Any) -> str:
        if self.task == "multi-label":
            return "; ".join(name for name, found in zip(self.class_names, labels, strict=True) if found)
        return self.class_names[int(labels)]
