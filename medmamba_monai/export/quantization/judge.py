"""What another precision of an exported network does to the answers on test images, with a paired interval."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation import Scores, Task, bootstrap_differences, compute_metrics
from medmamba_monai.evaluation.scores import FloatArray
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.export.quantization.calibration import read_batches
from medmamba_monai.package import Package, read_folds_of_run

PROBABILITIES = "probabilities"
"""Name of the output of a file that ends with them; the others end with logits."""


@dataclass(frozen=True)
class AreaChange:
    """Two files of the same network on the test images of a fold.

    Attributes:
        images: how many.
        auc_before: of the first file, 0 to 1.
        auc_after: of the second file.
        change: ``auc_after`` - ``auc_before``.
        interval: its 95 % interval, from resamples in which both files judge the same images; or the reason in words
            why there is none.
        same_class: share of images with the same predicted class, 0 to 1.
        mean_difference: mean absolute difference of the probabilities.
        largest_difference: of the probabilities.
    """

    images: int
    auc_before: float
    auc_after: float
    change: float
    interval: tuple[float, float] | str
    same_class: float
    mean_difference: float
    largest_difference: float


def compare_on_test_images(
    package: Package, run: str | os.PathLike[str], fold: int, before: Path, after: Path, batch_size: int = 16
) -> AreaChange:
    """Judge the test images of a fold with two ONNX files of its network.

    Args:
        package: what the files were exported from.
        run: folder of the cross-validation that the package was made of.
        fold: whose network and test images.
        before: file in float32.
        after: the same network in another precision.
        batch_size: of a batch.

    Raises:
        UserError: the fold has no test image, or the folds or images are not where they were.
    """
    items = read_folds_of_run(package, run).parts(fold)["test"]
    if not items:
        raise UserError(f"{run}: fold {fold} has no test image to compare the files on")
    first, second = (
        predict_onnx(package, path, [item["image"] for item in items], batch_size) for path in (before, after)
    )
    return compare_probabilities(first, second, items, package.manifest.task)


def predict_onnx(package: Package, path: Path, images: Sequence[str], batch_size: int) -> FloatArray:
    """Return the probabilities (B, C) that a file in onnxruntime gives of images; one of a network alone has logits."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    batches = read_batches(package, images, batch_size)
    rows = np.concatenate([session.run(None, {given.name: batch})[0] for batch in batches]).astype(np.float64)
    is_final = session.get_outputs()[0].name == PROBABILITIES
    return rows if is_final else _activate(rows, package.manifest.activation)


def compare_probabilities(
    before: FloatArray, after: FloatArray, items: Sequence[dict[str, Any]], task: Task
) -> AreaChange:
    """Compare probabilities (B, C) of the same images, whose items know their labels and groups."""
    labels = np.array([item["label"] for item in items])
    groups = [item["group"] for item in items] if "group" in items[0] else None
    first, second = Scores(before, labels, task, groups), Scores(after, labels, task, groups)
    auc_before, auc_after = (compute_metrics(scores, ["auc"])["auc"] for scores in (first, second))
    found = bootstrap_differences(second, first).metrics["auc"].interval
    difference = np.abs(before - after)
    return AreaChange(
        images=len(items),
        auc_before=auc_before,
        auc_after=auc_after,
        change=auc_after - auc_before,
        interval=(found.low, found.high) if isinstance(found, Interval) else found,
        same_class=float(np.mean(first.predicted == second.predicted)),
        mean_difference=float(difference.mean()),
        largest_difference=float(difference.max()),
    )


def _activate(logits: FloatArray, activation: str) -> FloatArray:
    return np.asarray(softmax(logits, axis=1) if activation == "softmax" else expit(logits))
