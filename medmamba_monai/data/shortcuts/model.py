"""The small model that predicts a class from facts: gradient-boosted trees, cross-validated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medmamba_monai.data.shortcuts.table import FactTable

_TREES, _LEAVES, _MIN_LEAF, _RATE = 10, 8, 5, 0.3


def cross_validate(table: FactTable, target: NDArray[np.int64], folds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Predict the target of each image by a model of the other folds.

    Args:
        table: facts of B images.
        target: (B,) a whole number from 0 to C - 1.
        folds: (B,) number of each image's fold.

    Returns:
        Probabilities (B, C).
    """
    scores = np.zeros((len(target), int(target.max()) + 1))
    for fold in np.unique(folds):
        held_out = folds == fold
        seen = np.unique(target[~held_out])
        if len(seen) > 1 and table.names:
            scores[np.ix_(held_out, seen)] = _fit_and_predict(table, target, held_out)
    return scores


def _fit_and_predict(table: FactTable, target: NDArray[np.int64], held_out: NDArray[np.bool_]) -> NDArray[np.float64]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        learning_rate=_RATE,
        max_iter=_TREES,
        max_leaf_nodes=_LEAVES,
        min_samples_leaf=_MIN_LEAF,
        categorical_features=table.is_category,
        early_stopping=False,
        random_state=0,
    )
    return model.fit(table.values[~held_out], target[~held_out]).predict_proba(table.values[held_out])
