from __future__ import annotations

import numpy as np
import pytest

from medmamba_monai.evaluation import Scores, bootstrap_differences
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.robustness.changes import METRICS, Change, compute_changes


def scores(noise: float) -> Scores:
    generator = np.random.default_rng(4)
    labels = np.arange(80) % 2
    logits = 2.0 * labels - 1 + generator.normal(size=80) + noise * generator.normal(size=80)
    return Scores(1 / (1 + np.exp(-logits)), labels, "binary", [f"patient {row // 2}" for row in range(80)])


def test_changes_are_those_of_the_paired_bootstrap() -> None:
    clean, corrupted = scores(0), scores(4)
    found = compute_changes(clean, {("shot_noise", 3): corrupted}, resamples=200)["shot_noise", 3]
    expected = bootstrap_differences(corrupted, clean, resamples=200).metrics
    assert list(found) == list(METRICS)
    for name in METRICS:
        assert found[name].change == pytest.approx(expected[name].value, abs=1e-12)
        assert found[name].interval == expected[name].interval
    assert found["auc"].is_shown
    assert found["auc"].change < 0


def test_what_changes_nothing_has_no_interval() -> None:
    found = compute_changes(scores(0), {("pixelate", 1): scores(0)}, resamples=100)["pixelate", 1]["auc"]
    assert (found.change, found.is_shown, type(found.interval)) == (0, False, str)


@pytest.mark.parametrize(("low", "high", "shown"), [(-0.2, -0.1, True), (-0.1, 0.1, False), (0.0, 0.1, False)])
def test_an_interval_that_holds_0_shows_nothing(low: float, high: float, shown: bool) -> None:
    assert Change(0.5, -0.1, Interval(low, high)).is_shown is shown
