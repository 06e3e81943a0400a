"""What another precision changed: areas with a paired interval, and the bar that a file is held to."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medmamba_monai.core.errors import UserError
from medmamba_monai.export.quantization import hold_to_bar
from medmamba_monai.export.quantization.judge import MEAN_BAR, compare_probabilities


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


def test_a_file_below_the_bar_has_its_difference_returned():
    probabilities = np.full((4, 2), 0.5)
    assert hold_to_bar(probabilities, probabilities + MEAN_BAR / 2, "a.onnx") == pytest.approx(MEAN_BAR / 2)


@pytest.mark.parametrize("wrong", [MEAN_BAR * 1.1, np.nan])
def test_a_file_above_the_bar_is_refused(wrong):
    probabilities = np.full((4, 2), 0.5)
    with pytest.raises(UserError, match=r"int8\.onnx: its probabilities differ .*--calibration"):
        hold_to_bar(probabilities, probabilities + wrong, "int8.onnx")
