"""The script that a reader checks a run with agrees with what the run logged."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from tests.helpers.small_bundle import ROOT
from tests.helpers.tracked_runs import TrackedRuns


@pytest.mark.slow
def test_scikit_learn_alone_finds_the_same_figures(cross_validated: Path, monkeypatch, capsys):
    store = TrackedRuns(cross_validated / "mlruns.db")
    (parent,) = store.parents
    path = store.client.download_artifacts(parent.info.run_id, "ensemble_predictions.csv")
    monkeypatch.setattr(sys, "argv", ["recompute.py", path])
    runpy.run_path(str(ROOT / "docs" / "recompute.py"))
    found = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert {"accuracy", "sensitivity", "f1", "auc", "average_precision", "kappa", "mcc"} <= found.keys()
    for name, value in found.items():
        assert float(value) == pytest.approx(parent.data.metrics[f"ensemble/{name}"], abs=1e-12)
