"""Classifiers of tables: logistic regression and gradient-boosted trees, which take missing values as they are.

What they need to know of the values (means, deviations, categories that occur) is fitted with them, on training images
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medmamba_monai.records.table import RecordTable

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

Classifier = Literal["logistic", "boosted"]
"""Logistic regression, for few images; or gradient-boosted trees, for many and for effects that are not straight."""

CLASSIFIERS: tuple[Classifier, ...] = get_args(Classifier)

_TREES, _LEAVES, _RATE, _MIN_LEAF, _SHRINK = 100, 8, 0.05, 10, 1.0


def fit_and_predict(
    classifier: Classifier, train: RecordTable, labels: NDArray[np.int64], others: RecordTable, num_classes: int
) -> NDArray[np.float64]:
    """Fit a classifier to some images and predict others.

    Args:
        classifier: which one.
        train: of B images.
        labels: class indices (B,), or zeros and ones (B, C) of a multi-label task.
        others: of N images, with the same columns.
        num_classes: C.

    Returns:
        Probabilities (N, C); rows sum to 1, unless there is a column of labels for each class.
    """
    if labels.ndim == 2:
        columns = [_fit_one(classifier, train, labels[:, c], others, 2)[:, 1] for c in range(num_classes)]
        return np.stack(columns, axis=1)
    return _fit_one(classifier, train, labels, others, num_classes)


def _fit_one(
    classifier: Classifier, train: RecordTable, labels: NDArray[np.int64], others: RecordTable, num_classes: int
) -> NDArray[np.float64]:
    found = np.zeros((len(others.values), num_classes))
    classes = np.unique(labels)
    if len(classes) == 1:
        found[:, classes[0]] = 1
        return found
    known = ~np.isnan(train.values).all(axis=0)  # what no training image has tells nothing
    if not known.any():
        found[:, classes] = np.bincount(labels)[classes] / len(labels)
        return found
    model = _BUILDERS[classifier](train.is_category[known]).fit(train.values[:, known], labels)
    found[:, classes] = model.predict_proba(others.values[:, known])
    return found


def _build_logistic(is_category: NDArray[np.bool_]) -> ClassifierMixin:
    """Numbers get the training mean where they are missing, and an indicator; missing is a category like others."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    encoder = ColumnTransformer(
        [
            ("numbers", numbers, ~is_category),
            ("categories", OneHotEncoder(handle_unknown="ignore"), is_category),
        ]
    )
    return make_pipeline(encoder, LogisticRegression(max_iter=1000))


def _build_boosted(is_category: NDArray[np.bool_]) -> ClassifierMixin:
    """Trees send what is missing, and categories that training does not have, to the side that fits better."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        learning_rate=_RATE,
        max_iter=_TREES,
        max_leaf_nodes=_LEAVES,
        min_samples_leaf=_MIN_LEAF,
        l2_regularization=_SHRINK,
        categorical_features=is_category,
        early_stopping=False,
        random_state=0,
    )


_BUILDERS: dict[Classifier, Callable[[NDArray[np.bool_]], ClassifierMixin]] = {
    "logistic": _build_logistic,
    "boosted": _build_boosted,
}
