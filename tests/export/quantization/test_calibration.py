"""Images to calibrate on: training images of the fold from the run, or a folder; bad input is one clear error."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import read_fold_list
from medmamba_monai.export.quantization import read_calibration
from medmamba_monai.export.quantization.calibration import draw, find_images
from medmamba_monai.package import Package, write_package


@pytest.fixture(scope="module")
def run(cross_validated: Path) -> Path:
    return cross_validated / "output"


@pytest.fixture(scope="module")
def package(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Package:
    return write_package(run, tmp_path_factory.mktemp("package") / "all")


@pytest.mark.parametrize("fold", [0, 1])
def test_the_images_of_a_run_are_those_that_the_fold_was_trained_on(package, run, small_bundle, fold):
    parts = read_fold_list(small_bundle.data_list, small_bundle.dataset_dir).parts(fold)
    assert find_images(package, run, fold) == [item["image"] for item in parts["train"]]


def test_batches_are_what_the_network_takes(package, run):
    first, second = read_calibration(package, run, 0, images=7, batch_size=5)
    assert first.shape == (5, 3, 32, 32)
    assert len(second) == 2
    assert first.dtype == np.float32
    chosen = draw(find_images(package, run, 0), 7)
    np.testing.assert_array_equal(first, package.convert([package.read(image) for image in chosen[:5]]).numpy())


def test_a_folder_of_images_serves_where_there_is_no_run(package, small_bundle):
    (batch,) = read_calibration(package, small_bundle.dataset_dir, 0, images=3)
    assert batch.shape == (3, 3, 32, 32)


def test_images_are_drawn_once_each_and_the_same_each_time():
    assert draw(range(5), 9) == [0, 1, 2, 3, 4]
    drawn = draw(range(100), 9)
    assert drawn == sorted(set(drawn)) == draw(range(100), 9)
    assert len(drawn) == 9


def test_a_folder_that_is_not_there_is_named(package, tmp_path):
    with pytest.raises(UserError, match=r"calibration: .*nowhere: there is no such folder"):
        next(read_calibration(package, tmp_path / "nowhere", 0))


def test_a_folder_without_images_is_named(package, tmp_path):
    with pytest.raises(UserError, match="holds no image"):
        next(read_calibration(package, tmp_path, 0))


def test_the_run_of_another_package_is_refused(package, run, small_bundle, tmp_path):
    content = json.loads(small_bundle.data_list.read_text(encoding="utf-8"))
    shutil.copy(run / "description.json", tmp_path)
    described = json.loads((tmp_path / "description.json").read_text(encoding="utf-8"))
    folds = read_fold_list(small_bundle.data_list, small_bundle.dataset_dir)
    changed = folds.model_copy(update={"digest": "", "checksum": None, "training": folds.training[:-1]})
    changed = changed.model_copy(update={"digest": changed.compute_digest()})
    changed.write(tmp_path / "folds.json")
    described["data_list"] = str(tmp_path / "folds.json")
    (tmp_path / "description.json").write_text(json.dumps(described), encoding="utf-8")
    assert content["digest"] != changed.digest
    with pytest.raises(UserError, match="has other folds"):
        find_images(package, tmp_path, 0)
