"""Metrics of right and wrong predictions: accuracy, precision, sensitivity, specificity, F1, kappa, MCC.

Metrics of a class hold it against the rest; the macro averages are their mean over all classes, of a binary task over
both its classes. A class that is never predicted has precision 0 and F1 0, the values of the worst classifier; MCC is 0
of a class that is always or never predicted. All but accuracy raise `UserError` where a class is absent from the
labels, since they are not defined there.
"""

from __future__ import annotations

import numpy as np
from sklearn import metrics as sk

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.scores import IntArray, Scores


def accuracy(scores: Scores) -> float:
    """Return the fraction of samples whose predicted class is right; of a multi-label task, of right single labels."""
    return float(np.mean(scores.predicted == scores.labels))


def precision(scores: Scores) -> float:
    """Return the macro precision TP / (TP + FP)."""
    return float(np.mean(class_precision(scores)))


def sensitivity(scores: Scores) -> float:
    """Return the macro sensitivity TP / (TP + FN)."""
    return float(np.mean(class_sensitivity(scores)))


def specificity(scores: Scores) -> float:
    """Return the macro specificity TN / (TN + FP).

    The two classes of a binary task swap sensitivity and specificity, so its two macro values are equal.
    """
    return float(np.mean(class_specificity(scores)))


def f1(scores: Scores) -> float:
    """Return the macro F1, 2TP / (2TP + FP + FN)."""
    return float(np.mean(class_f1(scores)))


def balanced_accuracy(scores: Scores) -> float:
    """Return the mean sensitivity; of several labels the mean of (sensitivity + specificity) / 2."""
    per_class = class_balanced_accuracy if scores.task == "multi-label" else class_sensitivity
    return float(np.mean(per_class(scores)))


def kappa(scores: Scores) -> float:
    """Return Cohen's kappa of predicted and true classes: 1 for agreement, 0 for that of chance, negative below it.

    Of an ordinal task it is weighted by the squared distance of the two grades.

    Raises:
        UserError: for a multi-label task, where it is not defined, or a class without a single sample.
    """
    if scores.task == "multi-label":
        raise UserError("kappa of a multi-label task is not defined: each label has one of its own")
    scores.require_every_class()
    weights = "quadratic" if scores.task == "ordinal" else None
    return float(sk.cohen_kappa_score(scores.labels, scores.predicted, weights=weights))


def mcc(scores: Scores) -> float:
    """Return Matthews' correlation, for several classes Gorodkin's (2004); of a multi-label task the labels' mean."""
    if scores.task == "multi-label":
        return float(np.mean(class_mcc(scores)))
    scores.require_every_class()
    return float(sk.matthews_corrcoef(scores.labels, scores.predicted))


def class_precision(scores: Scores) -> list[float]:
    """Return the precision of each class."""
    return _class_rates(scores, 0)


def class_sensitivity(scores: Scores) -> list[float]:
    """Return the sensitivity of each class."""
    return _class_rates(scores, 1)


def class_specificity(scores: Scores) -> list[float]:
    """Return the specificity of each class."""
    scores.require_every_class()
    true_negatives, false_positives = _count_confusions(scores)[:, 0].T
    return (true_negatives / (true_negatives + false_positives)).tolist()


def class_f1(scores: Scores) -> list[float]:
    """Return the F1 of each class."""
    return _class_rates(scores, 2)


def class_balanced_accuracy(scores: Scores) -> list[float]:
    """Return the mean of sensitivity and specificity of each class."""
    scores.require_every_class()
    return [float(sk.balanced_accuracy_score(*pair)) for pair in _class_pairs(scores)]


def class_mcc(scores: Scores) -> list[float]:
    """Return Matthews' correlation of each class."""
    scores.require_every_class()
    return [float(sk.matthews_corrcoef(*pair)) for pair in _class_pairs(scores)]


def confusion_counts(scores: Scores) -> dict[str, list[int]]:
    """Count true and false positives and negatives of each class against the rest.

    Returns:
        For each of ``tp``, ``fp``, ``fn`` and ``tn`` a list of C numbers, in the order of the classes.
    """
    confusions = _count_confusions(scores)
    cells = {"tp": (1, 1), "fp": (0, 1), "fn": (1, 0), "tn": (0, 0)}
    return {name: confusions[:, row, column].tolist() for name, (row, column) in cells.items()}


def _class_rates(scores: Scores, which: int) -> list[float]:
    """Precision, sensitivity or F1 of each class, in scikit-learn's order."""
    scores.require_every_class()
    classes = range(scores.num_classes)
    rates = sk.precision_recall_fscore_support(
        scores.labels, scores.predicted, labels=classes, average=None, zero_division=0.0
    )
    return rates[which].tolist()


def _class_pairs(scores: Scores) -> list[tuple[IntArray, IntArray]]:
    return list(zip(scores.indicators.T, scores.predicted_indicators.T, strict=True))


def _count_confusions(scores: Scores) -> IntArray:
    """Return the confusion matrix (C, true 0 or 1, predicted 0 or 1) of each class against the rest."""
    return sk.multilabel_confusion_matrix(scores.labels, scores.predicted, labels=range(scores.num_classes))
