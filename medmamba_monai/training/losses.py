"""Losses for classes of unequal size: weights from the training part of a fold, and focal losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.losses.focal_loss import FocalLoss as MonaiFocalLoss
from torch import nn
from torch.nn.functional import one_hot

from medmamba_monai.core.errors import UserError


def make_loss(
    task: str, label_smoothing: float = 0.0, gamma: float | None = None, class_weights: torch.Tensor | None = None
) -> nn.Module:
    """Return the loss of a task: cross-entropy, of a multi-label task binary cross-entropy of each label.

    Args:
        task: the dataset's task, one of `medmamba_monai.evaluation.TASKS`.
        label_smoothing: what is taken from the true class and shared by all, in [0, 1); a multi-label task has none.
        gamma: how little well classified images count, from 0, which makes it a focal loss; None for none.
        class_weights: see `compute_loss_weights`; None counts images alike.
    """
    if task == "multi-label":
        if gamma is None:
            return nn.BCEWithLogitsLoss(pos_weight=class_weights)
        return MultiLabelFocalLoss(gamma, pos_weight=class_weights)
    if gamma is None:
        return nn.CrossEntropyLoss(weight=class_weights, label_smoothing=label_smoothing)
    return FocalLoss(gamma, weight=class_weights, label_smoothing=label_smoothing)


def compute_loss_weights(task: str, items: Sequence[Mapping[str, Any]], num_classes: int) -> torch.Tensor:
    """Return the weights (C,) with which the loss of a task counts each class alike.

    Args:
        task: the dataset's task.
        items: the samples of the training part, each with its ``label``.
        num_classes: C, number of classes.
    """
    return compute_positive_weights(items) if task == "multi-label" else compute_class_weights(items, num_classes)


def compute_class_weights(items: Sequence[Mapping[str, Any]], num_classes: int) -> torch.Tensor:
    """Compute weights under which every class adds as much to the loss as any other: N / (C n_c).

    Args:
        items: the samples to count, those of the training part alone, each with its ``label`` in [0, num_classes).
        num_classes: C, number of classes.

    Returns:
        Tensor (C,), for the ``weight`` of a cross-entropy; its mean over the samples is 1.

    Raises:
        UserError: a class has no sample.
    """
    counts = np.bincount([item["label"] for item in items], minlength=num_classes)
    _check_counts(counts, "is of")
    return torch.as_tensor(len(items) / (num_classes * counts), dtype=torch.float32)


def compute_positive_weights(items: Sequence[Mapping[str, Any]]) -> torch.Tensor:
    """Compute weights under which the images with a label add as much to its loss as those without: (N - n_c) / n_c.

    Args:
        items: the samples to count, those of the training part alone, each with its ``label``, zeros and ones (C,).

    Returns:
        Tensor (C,), for the ``pos_weight`` of a binary cross-entropy.

    Raises:
        UserError: a label has no positive or no negative sample.
    """
    counts = np.sum([item["label"] for item in items], axis=0)
    _check_counts(counts, "has")
    _check_counts(len(items) - counts, "lacks")
    return torch.as_tensor((len(items) - counts) / counts, dtype=torch.float32)


def _check_counts(counts: np.ndarray, verb: str) -> None:
    if (missing := np.flatnonzero(counts == 0)).size:
        raise UserError(
            f"the recipe class_weighted: no image of the training part {verb} label {missing[0]}, so that it has no "
            "weight; take another recipe, or give the fold images of it and run prepare again"
        )


class FocalLoss(nn.Module):
    """Focal loss of images with one label each: cross-entropy times (1 - p)^gamma (arXiv 1708.02002, equation 4).

    MONAI's `FocalLoss` for logits (B, C) and labels (B,), averaged as `torch.nn.CrossEntropyLoss` is, which it
    equals with ``gamma`` 0.

    Args:
        gamma: how little well classified images count, from 0.
        weight: a weight for each class (C,).
        label_smoothing: part of each label that is spread over all classes, in [0, 1].
    """

    def __init__(self, gamma: float = 2.0, weight: torch.Tensor | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        _check_gamma(gamma)
        self.label_smoothing = label_smoothing
        self.focal = MonaiFocalLoss(gamma=gamma, weight=weight, use_softmax=True, reduction="none")

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Compute the loss, a single number, of logits (B, C) and labels (B,) in [0, C)."""
        num_classes = logits.shape[1]
        smoothed = one_hot(labels, num_classes) * (1 - self.label_smoothing) + self.label_smoothing / num_classes
        weight = self.focal.class_weight
        divisor = len(labels) if weight is None else weight[labels].sum()
        return self.focal(logits, smoothed).sum() / divisor


class MultiLabelFocalLoss(nn.Module):
    """Focal loss of images with any number of labels: binary cross-entropy times (1 - p)^gamma.

    MONAI's `FocalLoss`, averaged over images and labels, which equals `torch.nn.BCEWithLogitsLoss` with ``gamma`` 0.

    Args:
        gamma: how little well classified labels count, from 0.
        pos_weight: weight of the positive images of each label (C,).
    """

    pos_weight: torch.Tensor | None

    def __init__(self, gamma: float = 2.0, pos_weight: torch.Tensor | None = None) -> None:
        super().__init__()
        _check_gamma(gamma)
        self.focal = MonaiFocalLoss(gamma=gamma, reduction="none")
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Compute the loss, a single number, of logits (B, C) and labels (B, C), zeros and ones."""
        losses: torch.Tensor = self.focal(logits, labels)
        if self.pos_weight is not None:
            losses = losses * torch.where(labels > 0, self.pos_weight, 1.0)
        return losses.mean()


def _check_gamma(gamma: float) -> None:
    if not gamma >= 0:
        raise UserError(f"--loss#gamma {gamma}: give a number from 0")
