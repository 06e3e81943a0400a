"""Ways to train of several sites' images, compared on the test images of all."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="the extra federation is not installed")

from benchmarks.federation import FEDERATED, POOLED, compare_ways, filter_update
from medmamba_monai.evaluation.statistics.significance import delong
from medmamba_monai.federation.job import make_filter
from medmamba_monai.federation.site_worker import Answer


def test_ways_are_compared_image_by_image_with_the_federation():
    generator = np.random.default_rng(0)
    labels = {f"site_1_{number}": number % 2 for number in range(60)}
    scores = {
        way: {name: (float(label * shift + generator.normal()), label) for name, label in labels.items()}
        for way, shift in ((FEDERATED, 0.5), (POOLED, 1.5))
    }
    shuffled = dict(reversed(list(scores[POOLED].items())))
    found = compare_ways({FEDERATED: scores[FEDERATED], POOLED: shuffled})
    first, second = ([score for score, _ in scores[way].values()] for way in (POOLED, FEDERATED))
    expected = delong(first, second, list(labels.values()))
    assert found[POOLED]["difference"] == pytest.approx(expected.difference)
    assert found[POOLED]["p_holm"] == pytest.approx(expected.p_value)
    assert found[FEDERATED]["auc"] == pytest.approx(expected.auc_b)
    assert found[FEDERATED]["images"] == 60


def test_an_update_is_filtered_as_it_leaves_a_site():
    answer = Answer({"title": "T"}, {"train_loss": 0.5}, {"w": np.array([0.5, 0.005, 0.006], np.float32)})
    filtered = filter_update(answer, make_filter("percentile"))
    assert filtered.metrics == answer.metrics
    assert filtered.weights is not None
    assert filtered.weights["w"][0] == pytest.approx(0.01)
