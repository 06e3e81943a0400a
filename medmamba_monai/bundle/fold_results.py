"""What the calls of a bundle return of one fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medmamba_monai.evaluation import Predictions


@dataclass(frozen=True)
class TrainedFold:
    """What a training left.

    Attributes:
        fold: its number.
        epochs: epochs trained, those before it went on included.
        best_epoch: the epoch whose weights were kept.
        best_metric: the area under the ROC curve on the validation part in that epoch.
        weights: file of these weights; a ``.safetensors`` file stands beside it.
        directory: folder of checkpoints and log.
    """

    fold: int
    epochs: int
    best_epoch: int
    best_metric: float
    weights: Path
    directory: Path


@dataclass(frozen=True)
class EvaluatedFold:
    """What an evaluation found.

    Attributes:
        fold: its number.
        metrics: metrics by part of the data, ``validation`` and ``test``, and by name.
        predictions: the probabilities of every image, with their labels.
        directory: folder of predictions and figures.
    """

    fold: int
    metrics: Mapping[str, Mapping[str, float]]
    predictions: Predictions
    directory: Path
