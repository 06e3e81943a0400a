"""Classifiers on frozen features: a linear probe and nearest neighbors, their strength chosen in the training part.

Both are scikit-learn's. What is chosen (C, k) is chosen by the log loss in a cross-validation inside the training part
alone, so that the validation part stays for thresholds and the like.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from sklearn.model_selection import GridSearchCV

Method = Literal["linear", "knn"]
METHODS = ("linear", "knn")
TITLES: dict[Method, str] = {"linear": "linear probe", "knn": "nearest neighbors"}
"""What readers are told that a method is."""
STRENGTHS = tuple(10.0**power for power in range(-5, 3))
"""Values of C to choose from, the inverse of the weight of the penalty."""
NEIGHBORS = (5, 10, 20, 50)
"""Numbers of neighbors to choose from."""
INNER_FOLDS = 3


@dataclass(frozen=True)
class Probe:
    """A fitted probe.

    Attributes:
        chosen: the C or k of each classifier: one, or of a multi-label task one for each label; None where the
            training part has one class alone.
    """

    chosen: tuple[float | None, ...]
    _classifiers: tuple[Any, ...]
    _num_classes: int
    _several: bool

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Compute probabilities.

        Args:
            features: (N, F).

        Returns:
            (N, classes): they sum to 1, or of a multi-label task each is that of its label. A class without a training
            image has 0.
        """
        if not self._several:
            return _spread(self._classifiers[0], features, self._num_classes)
        return np.stack([_spread(found, features, 2)[:, 1] for found in self._classifiers], axis=1)


def fit_probe(
    method: Method,
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> Probe:
    """Fit a probe to the training part of a fold.

    Args:
        method: ``linear``: logistic regression on standardized features; ``knn``: neighbors by cosine distance, nearer
            ones count more.
        features: (N, F).
        labels: (N,) from 0, or (N, classes) of 0 and 1 for a multi-label task.
        num_classes: number of classes.
        groups: patient or other group of each image, which inner folds do not part; None for no groups.
        seed: of the inner folds.

    Example:
        >>> rows = np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]] * 6)
        >>> fit_probe("linear", rows, np.array([0, 0, 1, 1] * 6), 2).predict(rows[:4]).argmax(1).tolist()
        [0, 0, 1, 1]
    """
    several = labels.ndim == 2
    columns = list(labels.T) if several else [labels]
    fitted = [_fit(method, features, column, groups, seed) for column in columns]
    return Probe(tuple(value for _, value in fitted), tuple(found for found, _ in fitted), num_classes, several)


def _fit(
    method: Method, features: np.ndarray, labels: np.ndarray, groups: Sequence[str] | None, seed: int
) -> tuple[Any, float | None]:
    from sklearn.dummy import DummyClassifier

    if len(np.unique(labels)) == 1:
        return DummyClassifier().fit(features, labels), None
    splits = list(_split(features, labels, groups, seed))
    search = _make_search(method, splits, max(2, min((len(train) for train, _ in splits), default=len(labels))))
    if not splits:  # too few images of a class to choose by
        found = search.estimator.fit(features, labels)
        return found, float(next(iter(found.get_params()[name] for name in search.param_grid)))
    search.fit(features, labels)
    return search, float(next(iter(search.best_params_.values())))


def _make_search(method: Method, splits: list[Any], smallest: int) -> GridSearchCV:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    estimator: Any
    grid: dict[str, list[Any]]
    if method == "linear":
        estimator = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        grid = {"logisticregression__C": list(STRENGTHS)}
    else:
        counts = [count for count in NEIGHBORS if count <= smallest] or [1]
        estimator = KNeighborsClassifier(counts[0], weights="distance", metric="cosine")
        grid = {"n_neighbors": counts}
    return GridSearchCV(estimator, grid, scoring=_score, cv=splits, error_score="raise")


def _score(estimator: Any, features: np.ndarray, labels: np.ndarray) -> float:
    """Return the negative log loss; a class that inner training did not see counts as 0 chance."""
    classes = int(max(labels.max(), estimator.classes_.max())) + 1
    chances = np.clip(_spread(estimator, features, classes)[np.arange(len(labels)), labels], 1e-6, 1)
    return float(np.log(chances).mean())


def _split(
    features: np.ndarray, labels: np.ndarray, groups: Sequence[str] | None, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield inner folds: three, or as many as the second most frequent class has images or groups; none of one."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    units = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    classes, _ = np.unique(np.stack([labels, units], axis=1), axis=0).T
    number = min(INNER_FOLDS, int(np.sort(np.unique(classes, return_counts=True)[1])[-2]))
    if number < 2:
        return
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # `_score` knows classes that were not seen
        splits = list(kind(number, shuffle=True, random_state=seed).split(features, labels, groups))
    for train, held in splits:
        if len(held) and len(np.unique(labels[train])) > 1:  # large groups may leave one class alone
            yield train, held


def _spread(classifier: Any, features: np.ndarray, num_classes: int) -> np.ndarray:
    """Return probabilities with a column for each class, whether it was in the training part or not."""
    found = classifier.predict_proba(features)
    columns = np.zeros((len(features), num_classes))
    columns[:, classifier.classes_.astype(int)] = found
    return columns
