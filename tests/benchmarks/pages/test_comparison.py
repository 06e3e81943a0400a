"""The documents' comparison says what the comparison itself says."""

from __future__ import annotations

import json
from statistics import fmean, stdev
from typing import Any

import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from benchmarks.pages.__main__ import render
from medmamba_monai.evaluation.predictions import ensemble
from medmamba_monai.evaluation.reports.comparison_tables import describe_comparison, explain_correction, write_sentences
from medmamba_monai.evaluation.results.comparison import Comparison, Model, compare
from tests.helpers.machine import MACHINE
from tests.helpers.predicted_folds import predicted_folds

FOLDS = 3


def model(name: str, skill: float, first_seed: int, seeds: int) -> Model:
    numbers = range(first_seed, first_seed + seeds)
    return Model(name, [predicted_folds("binary", num_folds=FOLDS, skill=skill, seed=number) for number in numbers])


def compared(seeds: int) -> Comparison:
    return compare([model("MedMamba", 0.7, 0, seeds), model("ResNet-18", 0.3, 10, seeds)], resamples=100)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compared(seeds=2)


def block(comparison: Comparison, **options: Any) -> str:
    settings = {"image_size": 64, "epochs": 6, "seeds": 2, "jobs": 2, "dataset": "pneumoniamnist"} | options
    result = {
        "machine": MACHINE,
        "options": settings,
        "comparison": describe_comparison(comparison),
        "interrupted": False,
    }
    return render({"recipes": json.loads(json.dumps(result))})["comparison"]


def cells(text: str, name: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(f"| {name} |"))[2:-2].split(" | ")


def test_a_row_has_the_metrics_of_the_averaged_probabilities(comparison: Comparison) -> None:
    found = comparison.models[0].combine("ensemble")
    _, auc, _, accuracy, _ = cells(block(comparison), "MedMamba")
    assert auc.split(" (")[0] == f"{roc_auc_score(found.labels, found.probabilities[:, 1]):.4f}"
    assert accuracy.split(" (")[0] == f"{100 * accuracy_score(found.labels, found.probabilities.argmax(axis=1)):.2f}"


def test_a_row_has_the_spread_of_the_seeds(comparison: Comparison) -> None:
    runs = [ensemble([run[fold].select("test") for fold in range(FOLDS)]) for run in comparison.models[1].runs]
    values = [roc_auc_score(run.labels, run.probabilities[:, 1]) for run in runs]
    assert cells(block(comparison), "ResNet-18")[2] == f"{fmean(values):.4f} ± {stdev(values):.4f}"


def test_a_row_has_the_interval(comparison: Comparison) -> None:
    interval = comparison.intervals["MedMamba"].metrics["auc"]
    assert cells(block(comparison), "MedMamba")[1].endswith(f" ({interval.low:.4f} to {interval.high:.4f})")


def test_what_can_be_said_is_said_in_the_words_of_the_comparison(comparison: Comparison) -> None:
    assert [line[2:] for line in block(comparison).splitlines() if line.startswith("- ")] == write_sentences(comparison)


def test_the_note_explains_the_p_values_as_the_comparison_does(comparison: Comparison) -> None:
    explained = explain_correction(comparison).partition("p-values")[2]
    assert "adjusted by Holm's method for 2 tests" in explained
    assert f"p-values{explained}" in block(comparison)


def test_the_note_tells_the_budget(comparison: Comparison) -> None:
    text = block(comparison, epochs=7, image_size=48)
    assert text.startswith("| PneumoniaMNIST (X-ray), 48 pixels | AUC | of 2 seeds | accuracy (%) | of 2 seeds |")
    assert "Trained for 7 epochs at 48 pixels, 3 folds, 2 seeds:" in text
    assert "a bootstrap over 60 images." in text
    assert text.endswith("Measured on 2026-01-02 on a CPU, commit 0123456789, torch 2.13.0.")


def test_generated_images_are_named_as_such(comparison: Comparison) -> None:
    assert "| Phantom (generated), 64 pixels |" in block(comparison, dataset="phantom")


def test_one_seed_has_no_spread() -> None:
    text = block(compared(seeds=1))
    assert len(cells(text, "MedMamba")) == 3
    assert "seed" not in text


def test_an_interval_that_there_is_not_is_not_shown(comparison: Comparison) -> None:
    content = describe_comparison(comparison)
    content["intervals"]["MedMamba"]["auc"] = {"no_interval": "a class is missing"}
    options = {"image_size": 64, "epochs": 6, "dataset": "pneumoniamnist"}
    text = render({"recipes": {"machine": MACHINE, "options": options, "comparison": content}})["comparison"]
    assert cells(text, "MedMamba")[1].endswith(" (no interval)")


def test_a_pretraining_is_compared_in_the_same_way(comparison: Comparison) -> None:
    options = {"image_size": 32, "epochs": 20, "dataset": "pneumoniamnist", "labelled": 200, "unlabelled": 1500}
    options |= {"contrastive": 10, "masked": 20}
    result = {"machine": MACHINE, "options": options, "comparison": describe_comparison(comparison)}
    text = render({"pretrain": json.loads(json.dumps(result))})["comparison"]
    assert text.startswith("Pretraining without labels: 200 images with labels, 1,500 others without")
    assert "(contrastive: 10 epochs, masked: 20)" in text
    assert [line[2:] for line in text.splitlines() if line.startswith("- ")] == write_sentences(comparison)
    assert "Trained for 20 epochs at 32 pixels, 3 folds, 2 seeds: figures of a small budget." in text
