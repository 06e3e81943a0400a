"""FLAML on pixels: ``python flaml_pixels.py DATA.npz ANSWER.json SECONDS THREADS``, in its own environment.

Each pixel is a column. FLAML chooses among its own learners by cross-validation on the given folds; the chosen one is
trained on all training images, as far as the time allows.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from flaml import AutoML
from sklearn.model_selection import PredefinedSplit


def main(data: str, answer: str, seconds: str, threads: str) -> None:
    """Search, and write the probabilities of the test images."""
    began = time.monotonic()
    with np.load(data, allow_pickle=False) as arrays:
        train, labels, folds, test = (arrays[name] for name in ("images", "labels", "folds", "test_images"))
    search = AutoML()
    search.fit(
        _list_pixels(train),
        labels,
        task="classification",
        metric="roc_auc" if labels.max() == 1 else "roc_auc_ovr",
        time_budget=float(seconds) - (time.monotonic() - began),
        eval_method="cv",
        split_type=PredefinedSplit(folds),
        retrain_full="budget",
        n_jobs=int(threads),
        seed=0,
        verbose=0,
    )
    found = {
        "probabilities": search.predict_proba(_list_pixels(test)).tolist(),
        "seconds": time.monotonic() - began,
        "chosen": search.best_estimator,
        "versions": {name: version(name) for name in ("flaml", "lightgbm", "xgboost", "scikit-learn")},
    }
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


def _list_pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32)


if __name__ == "__main__":
    main(*sys.argv[1:])
