"""Errors against the share of answered images, counted one by one."""

from __future__ import annotations

import numpy as np
import pytest

from medmamba_monai.evaluation.scores import Scores
from medmamba_monai.evaluation.statistics.abstention import trace_abstention


def test_the_curve_by_hand():
    probabilities = [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]]
    curve = trace_abstention(Scores(np.array(probabilities), np.array([0, 1, 1, 0]), "binary"))
    np.testing.assert_allclose(curve.answered, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve.error, [0, 0, 1 / 3, 1 / 4])
    assert curve.area == pytest.approx((1 / 3 + 1 / 4) / 4)
    assert [curve.find_error(share) for share in (0.1, 0.5, 0.51, 1)] == [0, 0, 1 / 3, 1 / 4]


def test_equally_sure_images_come_in_together():
    probabilities = np.array([[0.9, 0.1]] * 2 + [[0.3, 0.7]] * 3)
    labels = np.array([0, 1, 1, 1, 0])
    for order in (np.arange(5), np.arange(5)[::-1], np.array([3, 1, 4, 0, 2])):
        curve = trace_abstention(Scores(probabilities[order], labels[order], "binary"))
        np.testing.assert_allclose(curve.answered, [0.4, 1])
        np.testing.assert_allclose(curve.error, [0.5, 0.4])
        assert curve.area == pytest.approx(0.4 * 0.5 + 0.6 * 0.4)


def test_sureness_that_knows_nothing_keeps_the_error():
    generator = np.random.default_rng(0)
    areas = []
    for _ in range(50):
        scores = Scores(generator.dirichlet([1, 1, 1], size=300), generator.integers(0, 3, size=300), "multi-class")
        areas.append(trace_abstention(scores).area)
    assert np.mean(areas) == pytest.approx(2 / 3, abs=3 * np.std(areas) / len(areas) ** 0.5)
