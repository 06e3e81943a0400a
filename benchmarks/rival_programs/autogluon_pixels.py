"""AutoGluon on pixels: ``python autogluon_pixels.py DATA.npz ANSWER.json SECONDS THREADS``, in its own environment.

Each pixel is a column. AutoGluon trains its own learners by bagging, one model for each of the given folds, and weighs
them by what they predict of the fold that each has not seen.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor


def main(data: str, answer: str, seconds: str, threads: str) -> None:
    """Search, and write the probabilities of the test images."""
    began = time.monotonic()
    with np.load(data, allow_pickle=False) as arrays:
        train, labels, folds, test = (arrays[name] for name in ("images", "labels", "folds", "test_images"))
    columns = _list_pixels(train).assign(label=labels, fold=folds)
    metric = "roc_auc" if labels.max() == 1 else "roc_auc_ovo_macro"
    with tempfile.TemporaryDirectory() as folder:
        search = TabularPredictor("label", eval_metric=metric, path=folder, groups="fold", verbosity=0)
        search.fit(
            columns,
            time_limit=float(seconds) - (time.monotonic() - began),
            num_bag_folds=len(np.unique(folds)),
            num_bag_sets=1,
            num_stack_levels=0,
            num_cpus=int(threads),
            num_gpus=0,
            ag_args_ensemble={"fold_fitting_strategy": "sequential_local"},
        )
        probabilities = search.predict_proba(_list_pixels(test))
        found = {
            "probabilities": probabilities[sorted(probabilities.columns)].to_numpy().tolist(),
            "seconds": time.monotonic() - began,
            "chosen": f"{search.model_best}, of {len(search.model_names())} models",
            "versions": {name: version(name) for name in ("autogluon.tabular", "lightgbm", "catboost")},
        }
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


def _list_pixels(images: np.ndarray) -> pd.DataFrame:
    pixels = images.reshape(len(images), -1)
    return pd.DataFrame(pixels, columns=[f"pixel_{number}" for number in range(pixels.shape[1])])


if __name__ == "__main__":
    main(*sys.argv[1:])
