from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.coverage import coverage_part, draw, main, simulate


def test_the_simulated_model_is_right_in_some_four_of_five_cases() -> None:
    scores, labels = draw(np.random.default_rng(1), 20_000)
    assert np.mean((scores > 0.5) == labels) == pytest.approx(0.79, abs=0.02)


@pytest.fixture(autouse=True)
def _smaller_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.coverage.TRUTH", 10_000)


def test_counts_are_of_the_intervals_that_there_are() -> None:
    found = simulate(images=30, simulations=5, resamples=100)
    assert "ece" not in found
    assert found["auc"]["intervals"] <= 5
    assert found["auc"]["coverage"] * found["auc"]["intervals"] == pytest.approx(
        round(found["auc"]["coverage"] * found["auc"]["intervals"])
    )


def test_the_sentence_has_what_the_result_holds(tmp_path: Path) -> None:
    assert main(["--quick", "--images", "40", "--json", str(tmp_path / "coverage.json")]) == 0
    result = json.loads((tmp_path / "coverage.json").read_text())
    text = coverage_part(result)
    assert "20 simulated test sets of 40 images" in text
    assert f"auc {100 * result['coverage']['auc']['coverage']:.1f}" in text
