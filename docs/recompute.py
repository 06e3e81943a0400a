"""A finished run's figures once more, with scikit-learn alone: python docs/recompute.py ensemble_predictions.csv.

For tasks with one class for each image; kappa is not weighted.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from sklearn import metrics as sk

rows = list(csv.DictReader(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()))
labels = np.array([int(row["label"]) for row in rows])
scores = np.array([[float(row[key]) for key in row if key.startswith("probability_")] for row in rows])
predicted, ranked = scores.argmax(axis=1), scores[:, 1] if scores.shape[1] == 2 else scores
print("accuracy", sk.accuracy_score(labels, predicted))
print("precision", sk.precision_score(labels, predicted, average="macro", zero_division=0))
print("sensitivity", sk.recall_score(labels, predicted, average="macro"))
print("f1", sk.f1_score(labels, predicted, average="macro"))
print("auc", sk.roc_auc_score(labels, ranked, multi_class="ovr"))
print("average_precision", sk.average_precision_score(labels, ranked))
print("balanced_accuracy", sk.balanced_accuracy_score(labels, predicted))
print("kappa", sk.cohen_kappa_score(labels, predicted))
print("mcc", sk.matthews_corrcoef(labels, predicted))
