"""What another precision changed: areas with a paired interval."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medmamba_monai.export.quantization.judge import compare_probabilities


def draw(images: int = 120, noise: float = 0.3) -> tuple[list[dict[str, object]], np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, images)
    positive = np.clip(0.3 + 0.4 * labels + random.normal(0, noise, images), 0.01, 0.99)
    changed = np.clip(positive + random.normal(0, 0.05, images), 0.01, 0.99)
    items = [{"id": str(row), "label": int(label)} for row, label in enumerate(labels)]
    before, after = (np.stack([1 - values, values], axis=1) for values in (positive, changed))
    return items, before, after


def test_areas_are_those_of_each_file_and_the_interval_holds_their_difference():
    items, before, after = draw()
    found = compare_probabilities(before, after, items, "binary")
    labels = [item["label"] for item in items]
    assert found.auc_before == pytest.approx(roc_auc_score(labels, before[:, 1]))
    assert found.change == pytest.approx(roc_auc_score(labels, after[:, 1]) - found.auc_before)
    low, high = found.interval
    assert low < found.change < high
    assert high - low < 0.05, "the interval is paired: narrower than that of either area"
    assert found.images == 120
    assert found.mean_difference == pytest.approx(np.abs(before - after).mean())
    assert found.largest_difference == np.abs(before - after).max()
    assert found.same_class == np.mean((before[:, 1] > 0.5) == (after[:, 1] > 0.5))


def test_groups_are_drawn_whole():
    items, before, after = draw()
    grouped = [{**item, "group": str(row // 10)} for row, item in enumerate(items)]
    assert compare_probabilities(before, after, grouped, "binary").interval != (
        compare_probabilities(before, after, items, "binary").interval
    )
