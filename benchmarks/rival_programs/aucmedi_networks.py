"""AUCMEDI: ``python aucmedi_networks.py DATA.npz ANSWER.json SECONDS THREADS``, in its own environment.

One network for each of the given folds, each for an equal part of the time, at the images' own size; of each the epoch
with the lowest validation loss; the answer is their mean. The network is the one that AUCMEDI builds when none is
named. It has no batch normalization, whose averages would be wrong after minutes of training. Images are augmented as
AUCMEDI does by default, but not flipped. No weights are downloaded.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf
from aucmedi import DataGenerator, ImageAugmentation, NeuralNetwork
from aucmedi.data_processing.io_loader import cache_loader

ARCHITECTURE = "2D.Vanilla"
LEARNING_RATE = 1e-3
TRAINING_SHARE = 0.9
"""Part of a fold's time after which its training stops: the rest is for validation and the test images."""


class StopInTime(keras.callbacks.Callback):
    """Stops a training at a time of `time.monotonic`; the epoch ends early, but it ends with a validation."""

    def __init__(self, end: float) -> None:
        super().__init__()
        self.end = end

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Look at the clock."""
        if time.monotonic() > self.end:
            self.model.stop_training = True


def main(data: str, answer: str, seconds: str, threads: str) -> None:
    """Train the networks, and write the mean of their probabilities of the test images."""
    began = time.monotonic()
    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    tf.config.threading.set_inter_op_parallelism_threads(int(threads))
    with np.load(data, allow_pickle=False) as arrays:
        train, labels, folds, test = (arrays[name] for name in ("images", "labels", "folds", "test_images"))
    numbers, end = np.unique(folds), began + float(seconds)
    answers, epochs = [], []
    for done, number in enumerate(numbers):
        keras.utils.set_random_seed(int(number))
        now = time.monotonic()
        stop = now + TRAINING_SHARE * (end - now) / (len(numbers) - done)
        network, count = _train(train, labels, folds == number, stop)
        answers.append(network.predict(_batches(test)))
        epochs.append(count)
    found = {
        "probabilities": np.mean(answers, axis=0, dtype=np.float64).tolist(),
        "seconds": time.monotonic() - began,
        "chosen": f"{ARCHITECTURE[3:]}, {len(numbers)} folds of {min(epochs)} to {max(epochs)} epochs",
        "versions": {name: version(name) for name in ("aucmedi", "keras", "tensorflow")},
    }
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


def _train(images: np.ndarray, labels: np.ndarray, held_out: np.ndarray, stop: float) -> tuple[NeuralNetwork, int]:
    """Return a network that was trained until then, as it was after its best epoch, and its number of epochs."""
    one_hot = np.eye(labels.max() + 1)[labels]
    colored, size = images.ndim == 4, images.shape[1:3]
    network = NeuralNetwork(
        one_hot.shape[1], 3 if colored else 1, size, ARCHITECTURE, learning_rate=LEARNING_RATE, verbose=0
    )
    augmentation = ImageAugmentation(flip=False, saturation=colored, hue=colored)
    training = _batches(images[~held_out], one_hot[~held_out], data_aug=augmentation, shuffle=True, seed=0)
    best = keras.callbacks.EarlyStopping(monitor="val_loss", patience=1000, restore_best_weights=True)
    validation = _batches(images[held_out], one_hot[held_out])
    history = network.train(training, validation, epochs=1000, callbacks=[StopInTime(stop), best])
    return network, len(history["loss"])


def _batches(images: np.ndarray, labels: np.ndarray | None = None, **options: object) -> DataGenerator:
    cache = {str(number): image for number, image in enumerate(images)}
    reading = {"loader": cache_loader, "cache": cache, "grayscale": images.ndim == 3, "resize": None}
    return DataGenerator(list(cache), None, labels=labels, **reading, **options)


if __name__ == "__main__":
    main(*sys.argv[1:])
