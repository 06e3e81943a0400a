"""The paper's six metrics (section 3.2), Cohen's kappa and the log loss, from probabilities and labels.

Every public function takes ``(probabilities, labels, task)`` as NumPy arrays, or what ``numpy.asarray`` turns into one:

============= ================================================== ==================
task          probabilities                                      labels
============= ================================================== ==================
`binary`      (B, 2), rows sum to 1; or of class 1: (B, 1), (B,) (B,) of 0 and 1
`multi-class` (B, C), rows sum to 1                              (B,) of 0..C-1
`ordinal`     (B, C), rows sum to 1                              (B,) of 0..C-1
`multi-label` (B, C), each in [0, 1] on its own                  (B, C) of 0 and 1
============= ================================================== ==================

The predicted class is the most probable one, the lowest index among equals; of a multi-label task, every label whose
probability exceeds 0.5. All of them raise `UserError` for input that these rules do not allow: shapes that do not fit,
NaN or infinite scores, logits in place of probabilities, labels out of range. Macro averages and the AUC also raise
where a class is absent from the labels, since they are not defined there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as sk

from medmamba_monai.core.errors import UserError

METRICS = ("accuracy", "precision", "sensitivity", "specificity", "f1", "auc")
"""The keys of `all_metrics`, in the order of the paper."""

CLASS_METRICS = METRICS[1:]
"""The keys of `per_class_metrics`: those of the six that one class has against the rest."""

TASKS = ("binary", "multi-class", "ordinal", "multi-label")
"""The kinds of classification that MedMNIST knows."""

THRESHOLD = 0.5
"""A label of a multi-label task is predicted where its probability exceeds this."""

ROW_SUM_TOLERANCE = 1e-4
"""How far a row of probabilities may be from summing to 1: float32 softmax passes, float16 softmax does not."""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def all_metrics(probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class") -> dict[str, float]:
    """Compute the six metrics of the paper at once.

    Args:
        probabilities: scores of B samples, see the module's table.
        labels: their true classes.
        task: one of `TASKS`.

    Returns:
        A float in [0, 1] for each name in `METRICS`.

    Raises:
        UserError: for input that does not fit the task, or a class without a single sample.
    """
    per_class = per_class_metrics(probabilities, labels, task)
    macro = {name: float(np.mean(per_class[name])) for name in ("precision", "sensitivity", "specificity", "f1")}
    return {"accuracy": accuracy(probabilities, labels, task), **macro, "auc": auc(probabilities, labels, task)}


def per_class_metrics(probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class") -> dict[str, list[float]]:
    """Compute precision, sensitivity, specificity, F1 and AUC of each class against the rest.

    A class that is never predicted has precision 0 and F1 0: the value of the worst classifier, not a missing one.

    Args:
        probabilities: scores of B samples, see the module's table.
        labels: their true classes.
        task: one of `TASKS`.

    Returns:
        For each metric a list of C floats in [0, 1], in the order of the classes.

    Raises:
        UserError: for input that does not fit the task, or a class without a single sample.
    """
    scores, truth = check_scores(probabilities, labels, task)
    _require_every_class(truth, scores.shape[1])
    classes, predicted = range(scores.shape[1]), _predicted(scores, task)
    precisions, sensitivities, f1s, _ = sk.precision_recall_fscore_support(
        truth, predicted, labels=classes, average=None, zero_division=0.0
    )
    true_negatives, false_positives = _confusions(scores, truth, task)[:, 0].T
    return {
        "precision": precisions.tolist(),
        "sensitivity": sensitivities.tolist(),
        "specificity": (true_negatives / (true_negatives + false_positives)).tolist(),
        "f1": f1s.tolist(),
        "auc": [_class_auc(scores, truth, index) for index in classes],
    }


def confusion_counts(probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class") -> dict[str, list[int]]:
    """Count true and false positives and negatives of each class against the rest.

    Returns:
        For each of ``tp``, ``fp``, ``fn`` and ``tn`` a list of C numbers, in the order of the classes.
    """
    confusions = _confusions(*check_scores(probabilities, labels, task), task)
    cells = {"tp": (1, 1), "fp": (0, 1), "fn": (1, 0), "tn": (0, 0)}
    return {name: confusions[:, row, column].tolist() for name, (row, column) in cells.items()}


def accuracy(probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class") -> float:
    """Fraction of samples whose predicted class is right; of a multi-label task, fraction of right single labels."""
    scores, truth = check_scores(probabilities, labels, task)
    return float(np.mean(_predicted(scores, task) == truth))


def precision(probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class") -> float:
    """Macro precision TP / (TP + FP): the mean over all classes, of a binary task over both its classes."""
    return float(np.mean(per_class_metrics(probabilities, labels, task)["precision"]))


def sensitivity(probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class") -> float:
    """Macro sensitivity TP / (TP + FN): the mean over all classes, of a binary task over both its classes."""
    return float(np.mean(per_class_metrics(probabilities, labels, task)["sensitivity"]))


def specificity(probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class") -> float:
    """Macro specificity TN / (TN + FP): the mean over all classes, of a binary task over both its classes.

    The two classes of a binary task swap sensitivity and specificity, so its two macro values are equal.
    """
    return float(np.mean(per_class_metrics(probabilities, labels, task)["specificity"]))


def f1(probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class") -> float:
    """Macro F1: the mean over all classes of 2TP / (2TP + FP + FN), of a binary task over both its classes."""
    return float(np.mean(per_class_metrics(probabilities, labels, task)["f1"]))


def auc(probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class") -> float:
    """Area under the ROC curve as MedMNIST's evaluator defines it.

    Binary: of the probability of class 1. Multi-class and ordinal: the mean over the classes, each against the rest by
    the probability of its own column. Multi-label: the mean over the labels.
    """
    scores, truth = check_scores(probabilities, labels, task)
    _require_every_class(truth, scores.shape[1])
    classes = [1] if task == "binary" else range(scores.shape[1])
    return float(np.mean([_class_auc(scores, truth, index) for index in classes]))


def kappa(probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class") -> float:
    """Cohen's kappa of predicted and true classes: 1 for agreement, 0 for that of chance, negative below it.

    Of an ordinal task it is weighted by the squared distance of the two grades.

    Raises:
        UserError: for a multi-label task, where it is not defined, or a class without a single sample.
    """
    if task == "multi-label":
        raise UserError("kappa of a multi-label task is not defined: each label has one of its own")
    scores, truth = check_scores(probabilities, labels, task)
    _require_every_class(truth, scores.shape[1])
    weights = "quadratic" if task == "ordinal" else None
    return float(sk.cohen_kappa_score(truth, _predicted(scores, task), weights=weights))


def log_loss(probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class") -> float:
    """Mean negative log likelihood in nats; of a multi-label task, the mean over samples and labels.

    Rows are divided by their sum in float64 first, which takes float32 rounding out. Probabilities are clipped at the
    float64 epsilon, so that a certain mistake costs 36 and not infinity.
    """
    scores, truth = check_scores(probabilities, labels, task)
    if task == "multi-label":
        return float(np.mean([sk.log_loss(t, s, labels=[0, 1]) for t, s in zip(truth.T, scores.T, strict=True)]))
    normalized = scores / scores.sum(axis=1, keepdims=True)
    return float(sk.log_loss(truth, normalized, labels=range(scores.shape[1])))


def predicted_labels(probabilities: ArrayLike, task: str = "multi-class") -> IntArray:
    """Turn probabilities into predictions by the rule at the top of this module.

    Returns:
        Class indices (B,); of a multi-label task, zeros and ones (B, C).
    """
    return _predicted(check_probabilities(probabilities, task), task)


def check_scores(probabilities: ArrayLike, labels: ArrayLike, task: str) -> tuple[FloatArray, IntArray]:
    """Check probabilities and labels against the module's table.

    Returns:
        Probabilities (B, C) in float64 (two columns for every binary task) and labels in int64.

    Raises:
        UserError: naming what does not fit, the value found and what is expected.
    """
    scores = check_probabilities(probabilities, task)
    truth = np.asarray(labels)
    expected = scores.shape if task == "multi-label" else scores.shape[:1]
    if truth.shape != expected:
        raise UserError(f"labels of a {task} task with {len(scores)} samples have shape {truth.shape}, not {expected}")
    if truth.dtype.kind not in "biuf" or not np.array_equal(truth, np.round(truth)):
        raise UserError(f"labels are not whole numbers (dtype {truth.dtype}): give class indices")
    highest = 1 if task == "multi-label" else scores.shape[1] - 1
    if truth.min() < 0 or truth.max() > highest:
        raise UserError(f"labels range from {truth.min():g} to {truth.max():g}; this {task} task allows 0 to {highest}")
    return scores, truth.astype(np.int64)


def check_probabilities(probabilities: ArrayLike, task: str) -> FloatArray:
    """Check probabilities against the module's table and return them as float64 (B, C).

    Raises:
        UserError: naming what does not fit, the value found and what is expected.
    """
    if task not in TASKS:
        raise UserError(f"unknown task {task!r}: choose one of {', '.join(TASKS)}")
    scores = np.asarray(probabilities).astype(np.float64)
    if task == "binary" and (scores.ndim == 1 or scores.shape[1:] == (1,)):
        scores = np.stack([1 - scores.reshape(-1), scores.reshape(-1)], axis=1)
    columns_fit = scores.ndim == 2 and (scores.shape[1] == 2 if task == "binary" else scores.shape[1] >= 2)
    if not columns_fit or not len(scores):
        columns = "2" if task == "binary" else "2 or more"
        raise UserError(f"probabilities of a {task} task have shape {scores.shape}, not (samples, {columns} classes)")
    _check_values(scores, rows_sum_to_one=task != "multi-label")
    return scores


def _check_values(scores: FloatArray, rows_sum_to_one: bool) -> None:
    finite = np.isfinite(scores).all(axis=1)
    if not finite.all():
        first = int(np.argmin(finite))
        raise UserError(f"probabilities hold NaN or infinity in {(~finite).sum()} samples, the first is number {first}")
    if scores.min() < 0 or scores.max() > 1:
        raise UserError(
            f"probabilities range from {scores.min():.6g} to {scores.max():.6g}, outside [0, 1]: "
            "apply softmax (sigmoid for multi-label) to the network's logits first"
        )
    error = np.abs(scores.sum(axis=1) - 1)
    if rows_sum_to_one and error.max() > ROW_SUM_TOLERANCE:
        row = int(error.argmax())
        raise UserError(
            f"probabilities of sample {row} sum to {scores[row].sum():.6g}, not 1: "
            "apply softmax over the classes, in float32 or better"
        )


def _require_every_class(truth: IntArray, num_classes: int) -> None:
    if truth.ndim == 2:
        columns = [set(truth[:, index].tolist()) for index in range(num_classes)]
        absent = [f"label {index} is {found.pop()} in all" for index, found in enumerate(columns) if len(found) == 1]
        needed = "each label is 1 in some and 0 in others"
    else:
        absent = [f"class {index} is in none" for index in sorted(set(range(num_classes)) - set(truth.tolist()))]
        needed = "every class occurs"
    if absent:
        raise UserError(
            f"{', '.join(absent)} of the {len(truth)} samples, where its AUC and the macro metrics are not defined: "
            f"evaluate on samples in which {needed}, as in every part of a fold list that prepare wrote"
        )


def _confusions(scores: FloatArray, truth: IntArray, task: str) -> IntArray:
    """The confusion matrix (C, true 0 or 1, predicted 0 or 1) of each class against the rest."""
    return sk.multilabel_confusion_matrix(truth, _predicted(scores, task), labels=range(scores.shape[1]))


def _predicted(scores: FloatArray, task: str) -> IntArray:
    if task == "multi-label":
        return (scores > THRESHOLD).astype(np.int64)
    return scores.argmax(axis=1)


def _class_auc(scores: FloatArray, truth: IntArray, index: int) -> float:
    positive = truth[:, index] if truth.ndim == 2 else truth == index
    return float(sk.roc_auc_score(positive, scores[:, index]))
