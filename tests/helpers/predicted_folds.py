"""Predictions of a cross-validation that never was: seeded scores that tell the classes with some mistakes."""

from __future__ import annotations

import numpy as np

from medmamba_monai.evaluation import Predictions

NAMES = {
    "binary": ("Normal", "Pneumonia"),
    "multi-class": ("Red", "Green", "Blue"),
    "ordinal": ("Grade 0", "Grade 1", "Grade 2"),
    "multi-label": ("Edema", "Mass", "Hernia"),
}


def predicted_folds(
    task: str,
    combination: str = "ensemble",
    num_folds: int = 3,
    images: int = 60,
    groups: int | None = None,
    skill: float = 1.0,
    seed: int = 0,
) -> dict[int, Predictions]:
    """Validation and test predictions of each fold.

    Args:
        task: of the labels.
        combination: ``ensemble``: all folds are tested on the same images; ``pooled``: each on its own.
        num_folds: how many folds.
        images: in each part.
        groups: how many groups the test images are of; None for no groups.
        skill: how far the scores of right and wrong classes are apart.
        seed: of the scores; labels do not depend on it.
    """
    folds = {}
    for fold in range(num_folds):
        owner = 0 if combination == "ensemble" else fold
        parts = [
            _part("validation", task, images, 100 + fold, seed * 1000 + fold, skill, f"train-{fold}"),
            _part("test", task, images, owner, seed * 1000 + 500 + fold, skill, f"test-{owner}"),
        ]
        ids, names, labels, probabilities = ([*a, *b] for a, b in zip(*parts, strict=True))
        grouped = None if groups is None else [f"group-{row % groups}" for row in range(images)]
        folds[fold] = Predictions(
            probabilities=np.array(probabilities),
            labels=np.array(labels),
            task=task,
            ids=ids,
            parts=names,
            class_names=NAMES[task],
            groups=grouped and [f"alone-{fold}-{row}" for row in range(images)] + grouped,
        )
    return folds


def _part(part, task, images, label_seed, score_seed, skill, prefix):
    truth, scores = np.random.default_rng(label_seed), np.random.default_rng(score_seed)
    num_classes = len(NAMES[task])
    if task == "multi-label":
        labels = truth.integers(0, 2, (images, num_classes))
        logits = skill * (2 * labels - 1) + scores.normal(size=labels.shape)
        probabilities = 1 / (1 + np.exp(-logits))
    else:
        labels = truth.permutation(np.arange(images) % num_classes)
        logits = skill * np.eye(num_classes)[labels] + scores.normal(size=(images, num_classes))
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return [f"{prefix}-{row}" for row in range(images)], [part] * images, labels, probabilities
