"""The robustness of the phantom's run: files beside it, what is kept, and where it goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from medmamba_monai.cli.main import main
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.robustness import measure_robustness

NOISE, BLUR = ["--corruption", "gaussian_noise"], ["--corruption", "gaussian_blur"]
OPTIONS = ["--severity", "5", "--resamples", "100", "--device", "cpu"]


@pytest.fixture(scope="module")
def run(cross_validated: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A copy of the run, whose robustness against noise was measured."""
    folder = RunFolder(tmp_path_factory.mktemp("robustness") / "output")
    shutil.copytree(cross_validated / "output", folder.path, ignore=shutil.ignore_patterns("checkpoints", "figures"))
    assert main(["robustness", str(folder.path), *NOISE, *OPTIONS]) == 0
    return folder


def read(folder: RunFolder) -> dict:
    return json.loads(folder.robustness.read_text(encoding="utf-8"))


def test_clean_images_have_the_probabilities_of_the_ensemble(run: RunFolder) -> None:
    kept = json.loads(run.corrupted_predictions("none", 0).read_text(encoding="utf-8"))["probabilities"]
    saved = np.genfromtxt(run.combined_predictions("ensemble"), delimiter=",", names=True, dtype=None, encoding="utf-8")
    columns = [name for name in saved.dtype.names or () if name.startswith("prob")]
    np.testing.assert_allclose(kept, np.array([list(row) for row in saved[columns]]), atol=1e-5)


def test_the_numbers_and_the_page_are_beside_the_run(run: RunFolder) -> None:
    found = read(run)
    change = found["corruptions"]["gaussian_noise"]["5"]["auc"]
    assert change["value"] - found["clean"]["auc"] == pytest.approx(change["change"])
    assert (found["images"], found["resamples"]) == (20, 100)
    page = run.robustness_report.read_text(encoding="utf-8")
    assert "Robustness of output on" in page
    assert "severity 5" in page
    assert (run.figures / "robustness.svg").is_file()


def test_a_second_measurement_judges_only_what_is_new(run: RunFolder) -> None:
    kept = run.corrupted_predictions("gaussian_noise", 5)
    before = kept.stat().st_mtime_ns
    assert main(["robustness", str(run.path), *NOISE, *BLUR, *OPTIONS]) == 0
    assert kept.stat().st_mtime_ns == before
    assert list(read(run)["corruptions"]) == ["gaussian_noise", "gaussian_blur"]


def test_fewer_images_are_other_images(run: RunFolder) -> None:
    path = run.corrupted_predictions("none", 0)
    before = path.read_bytes()
    measure_robustness(run, ["gaussian_noise"], [1], images=12, resamples=100)
    assert read(run)["images"] == 12
    assert json.loads(path.read_bytes())["identity"] != json.loads(before)["identity"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"severities": [6]}, r"--severity \[6\]: choose from 1, 2, 3, 4, 5"),
        ({"images": 0}, "--images 0: give a whole number from 1"),
        ({"images": 1}, "--images 1: none of the 1 test images that were drawn shows .*; give a higher number"),
        ({"resamples": 0}, "--resamples 0, of the bootstrap: give a whole number from 100"),
        ({"corruptions": ["fog"]}, "--corruption fog: does not exist"),
    ],
)
def test_wrong_options_are_refused(run: RunFolder, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        measure_robustness(run, **options)
