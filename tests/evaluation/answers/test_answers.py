"""Predictions of folds without a network: reasons, and the table."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from medmamba_monai.evaluation import ConformalPredictor
from medmamba_monai.evaluation.answers.prediction import Prediction
from medmamba_monai.evaluation.answers.reasons import RULES, Answer, list_reasons
from medmamba_monai.evaluation.answers.table import format_predictions
from tests.helpers.predicted_folds import NAMES, predicted_folds

SURE = {"level": 0.9, "doubt": 0.01, "predicted": 1, "members": [1], "unlike": 0.5}


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, []),
        ({"unlike": None}, []),
        ({"unlike": 0.95}, ["unlike the training images"]),
        ({"members": []}, ["no class fits"]),
        ({"members": [0, 1]}, ["classes of the set cannot be told apart"]),
        ({"members": [0]}, ["set and class differ"]),
        ({"members": None, "predicted": None, "doubt": 0.2}, ["a label is not sure"]),
        ({"members": None, "predicted": None, "doubt": 0.05}, []),
        ({"unlike": 1.0, "members": [0, 1]}, ["unlike the training images", "classes of the set cannot be told apart"]),
    ],
)
def test_each_rule_says_why(changes, reasons):
    assert list_reasons(Answer(**{**SURE, **changes})) == reasons


def predict(task: str, unlike: bool = True) -> Prediction:
    folds = {fold: part.select("validation") for fold, part in predicted_folds(task).items()}
    conformal = {} if task == "multi-label" else {"LAC": ConformalPredictor.fit(folds, "LAC")}
    probabilities = {fold: part.probabilities for fold, part in folds.items()}
    shares = np.linspace(0, 1, 60) if unlike else None
    return Prediction(probabilities, NAMES[task], task, dict.fromkeys(folds, 1.5), conformal, shares)


@pytest.mark.parametrize("unlike", [True, False])
@pytest.mark.parametrize("task", NAMES)
def test_the_table_holds_what_the_prediction_says(task, unlike):
    found = predict(task, unlike)
    rows = list(csv.DictReader(io.StringIO(format_predictions(found, [f"i{n}" for n in range(60)], 0.8))))
    kinds = [f"{kind} {name}" for kind in ("probability", "calibrated") for name in NAMES[task]]
    middle = [*(["set 0.8"] if task != "multi-label" else []), "doubt", *(["unlike"] if unlike else []), "reason"]
    assert list(rows[0]) == ["id", "predicted", *middle, *kinds]
    assert [row["reason"].split("; ") if row["reason"] else [] for row in rows] == found.list_reasons(0.8)
    assert [RULES[0][1] in row["reason"] for row in rows] == [unlike and n / 59 >= 0.95 for n in range(60)]
    first = f"probability {NAMES[task][0]}"
    np.testing.assert_allclose([float(row[first]) for row in rows], found.probabilities[:, 0], atol=1e-6)
    if task != "multi-label":
        assert [row["set 0.8"] for row in rows] == found.name_sets(0.8)
    if unlike:
        np.testing.assert_allclose([float(row["unlike"]) for row in rows], found.unlike, atol=1e-6)
