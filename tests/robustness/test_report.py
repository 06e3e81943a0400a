from __future__ import annotations

import numpy as np
import pytest

from medmamba_monai.evaluation import Scores
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.robustness.changes import Change
from medmamba_monai.robustness.report import Measurement, describe_measurement, summarize

CLEAN = Scores(np.linspace(0.1, 0.9, 8), np.arange(8) // 4, "binary")


def measure(**changes: float) -> Measurement:
    """Changes of the AUC by the name of the corruption, each shown where it is not 0."""
    found = {
        (name, 5): {
            metric: Change(0.8 + change, change, Interval(change - 0.01, change + 0.01))
            for metric in ("auc", "balanced_accuracy")
        }
        for name, change in changes.items()
    }
    return Measurement("Phantom", CLEAN, found, 100, 0)


@pytest.mark.parametrize(
    ("changes", "first", "lower"),
    [
        ({"pixelate": -0.1, "shot_noise": -0.2}, "shot noise lowers the AUC most: -0.2", "2 of 2"),
        ({"pixelate": 0.1, "shot_noise": 0.2}, "pixelated comes closest to a lower AUC, which none has: ", "0 of 2"),
    ],
)
def test_what_costs_most_is_not_said_to_cost_where_nothing_does(
    changes: dict[str, float], first: str, lower: str
) -> None:
    sentences = summarize(measure(**changes))
    assert f"At severity 5, {first}" in sentences[0].replace("\N{MINUS SIGN}", "-")
    assert f"a lower AUC is shown for {lower} kinds" in sentences[1]
    assert len(sentences) == 2


def test_no_change_is_no_proof_of_none() -> None:
    assert summarize(measure(pixelate=0.0))[-1] == "No change is shown for pixelated; that is no proof of none."


def test_numbers_are_kept_in_full() -> None:
    found = describe_measurement(measure(pixelate=-0.123456789))["corruptions"]["pixelate"]["5"]["auc"]
    assert found["change"] == -0.123456789
