"""AutoKeras: ``python autokeras_networks.py DATA.npz ANSWER.json SECONDS THREADS``, in its own environment.

Its search over small convolutional networks, with its normalization and augmentation, as many trials as the time
allows; each trains on all folds but the first and is validated on that, and the one with the lowest validation loss
answers. Its ResNets and EfficientNets are left out: a trial of them outlasts such a time, and some begin with
downloaded weights.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import autokeras as ak
import keras
import numpy as np
import tensorflow as tf

EPOCHS = 10
"""Most epochs of a trial; AutoKeras' own thousand would make one trial of the whole time."""
PATIENCE = 3
TRAINING_SHARE = 0.95
"""Part of the time after which no trial goes on: the rest is for the test images."""


class StopInTime(keras.callbacks.Callback):
    """Ends a trial, and with it the search, at a time of `time.monotonic`; all trials share this one."""

    def __init__(self, end: float) -> None:
        super().__init__()
        self.end = end
        self.oracle: Any = None

    def __deepcopy__(self, memo: dict[int, object]) -> StopInTime:
        return self

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Look at the clock."""
        if time.monotonic() > self.end:
            self.model.stop_training = True
            self.oracle.max_trials = 1  # as many as there surely are: the oracle proposes no further one


def main(data: str, answer: str, seconds: str, threads: str) -> None:
    """Search, and write the best network's probabilities of the test images."""
    began = time.monotonic()
    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    tf.config.threading.set_inter_op_parallelism_threads(int(threads))
    with np.load(data, allow_pickle=False) as arrays:
        labels, folds = arrays["labels"], arrays["folds"]
        train, test = (_add_channel(arrays[name]) for name in ("images", "test_images"))
    stop = StopInTime(began + TRAINING_SHARE * float(seconds))
    with tempfile.TemporaryDirectory() as folder:
        image = ak.ImageInput()
        network = ak.ImageBlock(block_type="vanilla")(image)
        search = ak.AutoModel(image, ak.ClassificationHead()(network), max_trials=1000, directory=folder, seed=0)
        stop.oracle = search.tuner.oracle
        patience = keras.callbacks.EarlyStopping(patience=PATIENCE)
        judged = folds == folds.min()
        search.fit(
            *(train[~judged], labels[~judged]),
            validation_data=(train[judged], labels[judged]),
            epochs=EPOCHS,
            callbacks=[stop, patience],
            verbose=0,
        )
        probabilities = _spread(search.export_model().predict(test, verbose=0))
        trials = search.tuner.oracle.trials.values()
    finished = sum(trial.status == "COMPLETED" for trial in trials)
    found = {
        "probabilities": probabilities.tolist(),
        "seconds": time.monotonic() - began,
        "chosen": f"best of {finished} networks, one fold",
        "versions": {name: version(name) for name in ("autokeras", "keras", "keras-tuner", "tensorflow")},
    }
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


def _add_channel(images: np.ndarray) -> np.ndarray:
    return (images[..., None] if images.ndim == 3 else images).astype(np.float32)


def _spread(scores: np.ndarray) -> np.ndarray:
    """Return a column for each class that sum to 1; of two classes AutoKeras scores the second alone."""
    found = np.asarray(scores, dtype=np.float64)
    found = np.hstack([1 - found, found]) if found.shape[1] == 1 else found
    return found / found.sum(axis=1, keepdims=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
