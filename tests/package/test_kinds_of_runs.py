"""Packages of other tasks, protocols and images than the phantom's, of untrained networks; and images unlike theirs."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from medmamba_monai.cli.main import main
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation import read_result
from medmamba_monai.package import Package, write_package
from medmamba_monai.package.manifest import MANIFEST
from tests.helpers.small_runs import COUNT, SIZE, change_description, write_run

KINDS = {
    "pooled": ("binary", 2, False),
    "several labels": ("multi-label", 2, True),
    "several labels, pooled": ("multi-label", 2, False),
    "ordered volumes": ("ordinal", 3, True),
}


@pytest.fixture(scope="module", params=KINDS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    task, dims, official = KINDS[request.param]
    return write_run(tmp_path_factory.mktemp("run"), task, dims, official)


@pytest.fixture(scope="module")
def package(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Package:
    return write_package(run, tmp_path_factory.mktemp("package") / "made")


def read_images(run: Path, ids: list[str]) -> list[np.ndarray]:
    stored = np.load(run.parent / "mini.npz")["train_images"]
    return [stored[int(name[1:])] for name in ids]


def test_each_fold_predicts_what_the_run_says(run, package):
    for fold, expected in read_result(run).folds.items():
        found = package.predict(read_images(run, list(expected.ids)))
        np.testing.assert_allclose(found.folds[fold], expected.probabilities, rtol=0, atol=1e-6)
        assert list(found.class_names) == list(expected.class_names)


def test_sets_hold_the_truth_of_validation_images_or_are_refused(run, package):
    for expected in read_result(run).validated.values():
        found = package.predict(read_images(run, list(expected.ids)))
        if expected.task == "multi-label":
            assert found.doubt.max() <= 1
            with pytest.raises(UserError, match="this one is multi-label"):
                found.predict_sets()
        else:
            sets = found.predict_sets(level=0.99)
            assert sets[np.arange(len(expected)), expected.labels].all()


def test_a_blank_image_is_unlike_and_the_run_s_own_are_not_all(run, package):
    shape = [SIZE] * package.card.spatial_dims
    assert package.manifest.unlike is not None
    found = package.predict([np.zeros(shape, np.uint8), *read_images(run, [f"i{row}" for row in range(COUNT)])])
    assert found.unlike[0] == 1
    assert found.list_reasons()[0][0] == "unlike the training images"
    assert 0.1 < found.unlike[1:].mean() < 0.9


def test_figures_of_pooled_folds_say_that_the_mean_was_not_tested(run, package):
    pooled = read_result(run).combination == "pooled"
    assert package.manifest.figures["combination"] == ("pooled" if pooled else "ensemble")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("plain"), "binary")


def test_images_that_are_gone_are_said_to_be(plain, tmp_path, capsys, caplog):
    run = Path(shutil.copytree(plain, tmp_path / "run"))
    change_description(run, dataset_dir=str(tmp_path / "gone"))
    assert main(["package", str(run), "--output", str(tmp_path / "p"), "--device", "cpu"]) == 0
    assert "It cannot tell unlike images: the images of the run could not be read" in capsys.readouterr().out
    assert "gone" in caplog.text
    manifest = json.loads((tmp_path / "p" / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["unlike"] is None
    assert "gone" not in json.dumps(manifest)
    assert manifest["unlike_missing"] in (tmp_path / "p" / "README.md").read_text(encoding="utf-8")
    found = Package.open(tmp_path / "p").predict([np.zeros((SIZE, SIZE), np.uint8)])
    assert found.unlike is None
    with pytest.raises(UserError, match=r"mini\.npz"):
        write_package(run, tmp_path / "other", dataset_dir=tmp_path)
    moved = write_package(run, tmp_path / "moved", dataset_dir=plain.parent)
    assert moved.manifest.unlike is not None


def test_a_probe_of_frozen_features_is_said_to_have_no_network(plain, tmp_path):
    run = RunFolder(shutil.copytree(plain, tmp_path / "run", ignore=shutil.ignore_patterns("model.*")))
    write_json(run.settings, {**json.loads(run.settings.read_text(encoding="utf-8")), "probe": "linear"})
    with pytest.raises(
        UserError, match=r"probes \(linear\) of frozen features, which leave no network .* train a network"
    ):
        write_package(run, tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_a_package_holds_no_numbers_of_a_single_image_but_a_distance(plain, tmp_path):
    package = write_package(plain, tmp_path / "p")
    likeness = package.likeness[0]
    features = package.networks[0].num_features
    assert likeness.clouds["features"].factor.shape == (features, features)
    assert likeness.known["features"].shape == (likeness.num_known,)
    order = np.argsort(likeness.known["features"], kind="stable")
    np.testing.assert_array_equal(order, np.arange(likeness.num_known))
    unlike = package.manifest.unlike
    assert (unlike.training_images, unlike.validation_images) == (24, 24)


def test_the_command_writes_unlike_and_reason(plain, tmp_path):
    from PIL import Image

    write_package(plain, tmp_path / "p")
    (tmp_path / "images").mkdir()
    Image.new("L", (SIZE, SIZE)).save(tmp_path / "images" / "blank.png")
    out = tmp_path / "out"
    assert main(["infer", str(tmp_path / "p"), str(tmp_path / "images"), "--output", str(out), "--device", "cpu"]) == 0
    (row,) = csv.DictReader((out / "predictions.csv").open(encoding="utf-8"))
    assert (row["unlike"], row["reason"].split("; ")[0]) == ("1.000000", "unlike the training images")
