"""Images and a column that each decide half of the class: what is said of them agrees with how they were made.

Two tests decide whether fusion is better than images and records alone: DeLong's over the patients that are kept out,
a fifth, and one over five folds. Of 800 patients, and networks that see the extent with noise of 0.3 standard
deviations of its own, of the image and of their scale, both claims held in 100 of 100 draws (0.5: in 98; of 400
patients and 0.3, in 25 of 40): the seeds here are no luck.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from medmamba_monai.auto.plan import read_plan
from medmamba_monai.auto.records import tell_records
from medmamba_monai.data.samples import Record
from medmamba_monai.evaluation import Model, compare, read_result
from medmamba_monai.records import predict_folds
from tests.helpers.fused_study import (
    CLASSES,
    IMAGES_PER_PATIENT,
    Patients,
    compute_log_odds,
    draw_patients,
    write_study,
)
from tests.helpers.recorded_samples import NAMES, make_fold_list, predict_with
from tests.helpers.small_bundle import run_command

PATIENTS = 800
NOISE = 0.3
ADDITIONS = ("The records add to the image", "The image adds to the records")
BUDGET = "MEDMAMBA_SEARCH_BUDGET"


def check_truth(auc: dict[str, float]) -> None:
    """Compare the AUC of the models with how the data were made: two equal halves which are all that there is."""
    assert abs(auc["image"] - auc["records"]) < 0.1
    assert min(auc["image"], auc["records"]) > 0.75
    assert auc["image and records"] > max(auc["image"], auc["records"]) + 0.05


def check_words(said: Sequence[str], name: str) -> None:
    """Each half adds to the other, both together are better than either, and neither is better than the other."""
    sure = r"on these images and over trainings\."
    for sentence, words, alone in zip(said, ADDITIONS, (name, f"{name} records"), strict=False):
        assert re.fullmatch(rf"{words} \(AUC \+0\.\d+, {name} late beside {alone}\), {sure}", sentence)
    (halves, images, records) = [sentence for sentence in said[2:] if sentence.startswith("AUC: ")]
    assert f"{name} late is better than {name}, on these images" in images
    assert f"{name} late is better than {name} records, on these images" in records
    assert "is better than" not in halves


def see_extent(patients: Patients, number: int) -> list[NDArray[np.float64]]:
    """Log odds of each image by so many networks, which see its patient's extent through noise and differ in scale."""
    generator = np.random.default_rng(0)
    seen = np.repeat(patients.extent, IMAGES_PER_PATIENT)
    seen = seen + NOISE * generator.standard_normal(len(seen))
    return [
        generator.uniform(1 - NOISE, 1 + NOISE) * compute_log_odds(seen + NOISE * generator.standard_normal(len(seen)))
        for _ in range(number)
    ]


def test_words_of_the_report_agree_with_how_the_data_were_made() -> None:
    patients = draw_patients(PATIENTS)
    each = np.repeat(np.arange(PATIENTS), IMAGES_PER_PATIENT)
    records: list[Record] = [(60 + 10 * float(patients.age[number]), "FM"[number % 2]) for number in each]
    groups = [f"P{number}" for number in each]
    labels = patients.sick[each].astype(np.int64)
    folds = make_fold_list(labels, records, num_folds=5, groups=groups, hold_out=0.2)
    assert len({item.group for item in folds.test}) == PATIENTS // 5
    images = predict_with(folds, see_extent(patients, folds.num_folds))
    models = [
        Model("net", [images]),
        Model("net records", [predict_folds(folds, NAMES)], "records"),
        Model("net late", [predict_folds(folds, NAMES, images=images)], "image and records"),
    ]
    comparison = compare(models, "ensemble", resamples=100)
    check_truth({model.inputs: comparison.metrics[model.name]["auc"] for model in models})
    (section,), (weighted,) = tell_records(comparison), tell_records(comparison, weighted=True)
    check_words(section.bullets, "net")
    (more,) = set(weighted.paragraphs) - set(section.paragraphs)
    assert more.startswith("The winner learned with each class counting alike")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(BUDGET not in os.environ, reason=f"takes minutes: {BUDGET}=4m says how long a search may take")
def test_a_search_of_dicom_files_says_that_fusion_is_better(tmp_path: Path) -> None:
    write_study(tmp_path, draw_patients(PATIENTS))
    options = ["--table", "clinic.csv", "--image-column", "file", "--label-column", "finding", "--classes", *CLASSES]
    options += ["--group-column", "patient", "--record-columns", "age", "sex", "--budget", os.environ[BUDGET]]
    command = [sys.executable, "-m", "medmamba_monai", "auto", "--images", "scans", "--output", "found", *options]
    code, printed = run_command(command, tmp_path)
    assert code == 0, printed
    output = tmp_path / "found"
    plan, winner = read_plan(output), json.loads((output / "choice.json").read_text())["winner"]
    assert "class_weighted" in plan.recipe, "one class is rare"
    runs = {"image": winner, "records": f"{winner}_records", "image and records": f"{winner}_late"}
    found = {inputs: read_result(output / plan.bundle / "output" / run) for inputs, run in runs.items()}
    check_truth({inputs: result.metrics["auc"] for inputs, result in found.items()})
    page = (output / "report.html").read_text()
    assert "See Clinical records below." in page
    bullets = re.findall(r"<li>(.*?)</li>", page)
    check_words(bullets[[text.startswith("The records add") for text in bullets].index(True) :], winner)
