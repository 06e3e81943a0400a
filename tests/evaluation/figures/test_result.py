"""The figures of a result are files of both kinds, under the names that MLflow shows."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from medmamba_monai.evaluation.figures.result import save_curves, save_result_figures
from medmamba_monai.evaluation.results.cross_validation import evaluate_folds
from tests.helpers.predicted_folds import predicted_folds

SVG_TEXT = re.compile("<!-- (.+?) -->", re.DOTALL)


def names(*stems: str) -> list[str]:
    return [f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")]


def test_a_result_has_curves_and_reliability(tmp_path):
    result = evaluate_folds(predicted_folds("binary", "pooled"), "pooled", resamples=200)
    paths = save_result_figures(result, "Chest, pooled, test", tmp_path)
    stems = ("roc_pooled", "precision_recall_pooled", "reliability_pooled", "abstention_pooled")
    assert [path.name for path in paths] == names(*stems)
    assert all(path.stat().st_size > 1000 for path in paths)
    drawn = [SVG_TEXT.findall(path.read_text()) for path in paths if path.suffix == ".svg"]
    interval = result.intervals.metrics["auc"]
    assert f"{result.metrics['auc']:.3f} ({interval.low:.3f}–{interval.high:.3f})  pooled" in drawn[0]
    assert "Chest, pooled, test" in drawn[0]
    assert f"as trained: ECE {result.metrics['ece']:.3f}" in drawn[2]


def test_curves_of_one_model_have_no_interval_and_any_class_name(tmp_path):
    part = replace(predicted_folds("multi-label")[0].select("validation"), class_names=["$a_b$", "<c> & d", "e|f"])
    paths = save_curves([part], part, "$t", tmp_path, "validation")
    assert [path.name for path in paths] == names("roc_validation", "precision_recall_validation")
    drawn = " ".join(SVG_TEXT.findall(paths[1].read_text()))
    assert all(name in drawn for name in ("$a_b$", "e|f", "validation, mean of 3"))
    assert "interval" not in drawn


@pytest.mark.parametrize("reason", ["too few images", None])
def test_a_missing_interval_is_left_out(tmp_path, reason):
    part = predicted_folds("binary")[0].select("test")
    intervals = {"auc": reason} if reason else None
    roc = save_curves([part], part, "t", tmp_path, "test", intervals)[1]
    assert "interval" not in roc.read_text()
