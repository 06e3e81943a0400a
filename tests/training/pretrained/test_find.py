from __future__ import annotations

import shutil

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import read_fold_list
from medmamba_monai.training.pretrained.find import find_weights
from medmamba_monai.training.pretrained.origins import Origin, check_origins, read_origins
from medmamba_monai.training.pretrained.seen import SeenImages, check_seen, compute_digests, read_seen
from medmamba_monai.training.pretrained.weights_file import WeightsFile
from tests.helpers.small_runs import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return RunFolder(write_run(tmp_path_factory.mktemp("run"), "binary"))


@pytest.fixture
def fold_list(run):
    return read_fold_list(run.path.parent / "folds.json", run.path.parent)


def test_a_fold_takes_its_own_weights_from_a_run_and_a_bundle(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "models")
    for fold in (0, 1):
        assert find_weights(run.path, fold) == run.fold(fold).safetensors
        assert find_weights(tmp_path, fold) == RunFolder(tmp_path / "models").fold(fold).safetensors
    assert find_weights(run.path, 4) == run.fold(0).safetensors
    assert find_weights(run.fold(1), 0) == run.fold(1).safetensors
    assert find_weights(run.fold(1).weights, 0) == run.fold(1).weights


def test_a_fold_takes_its_own_weights_from_a_package(run, tmp_path):
    for fold in (0, 1):
        shutil.copy(run.fold(fold).safetensors, tmp_path / f"fold_{fold}.safetensors")
    assert find_weights(tmp_path, 1) == tmp_path / "fold_1.safetensors"


@pytest.mark.parametrize(("name", "said"), [("nothing.pt", "does not exist"), (".", "holds no weights")])
def test_what_is_not_there_is_named(tmp_path, name, said):
    with pytest.raises(UserError, match=said):
        find_weights(tmp_path / name, 0)


def test_weights_of_the_same_fold_are_accepted_and_those_of_another_are_not(run, fold_list):
    file = WeightsFile(find_weights(run.path, 1))
    assert file.origins == (Origin(fold_list.name, 1, fold_list.digest),)
    check_origins(file.path, file.origins, fold_list, 1)
    with pytest.raises(UserError, match=r"has seen images that fold 0 is validated or tested on"):
        check_origins(file.path, file.origins, fold_list, 0)


def test_weights_of_other_folds_of_the_same_dataset_are_refused_and_of_another_dataset_not(run, fold_list):
    check_origins(run.path, [Origin("another", 0, fold_list.digest)], fold_list, 1)
    with pytest.raises(UserError, match="with other folds"):
        check_origins(run.path, [Origin(fold_list.name, 1, "0" * 64)], fold_list, 1)


def test_what_weights_started_from_themselves_counts_too(fold_list):
    first = Origin(fold_list.name, 0, fold_list.digest)
    described = {"dataset": "another", "fold": 0, "fold_digest": "1", "pretrained": {"trained_on": [first.describe()]}}
    assert read_origins(described) == (Origin("another", 0, "1"), first)
    with pytest.raises(UserError, match="has seen images"):
        check_origins(fold_list.path, read_origins(described), fold_list, 1)


@pytest.mark.parametrize("description", [{"fold": 0, "fold_digest": "a"}, {"pretrained": {"trained_on": [1]}}])
def test_a_header_that_says_something_else_is_refused(description):
    with pytest.raises(UserError, match="does not say what it was trained on"):
        read_origins(description)


@pytest.mark.parametrize(("part", "refused"), [("train", False), ("validation", True), ("test", True)])
def test_weights_that_saw_an_image_without_its_label_are_refused_where_a_fold_is_judged_by_it(
    run, fold_list, part, refused
):
    digest = compute_digests([fold_list.parts(0)[part][0]["image"]], fold_list.reading)[0]
    seen = [SeenImages(("0" * 16, digest), "another dataset")]
    if not refused:
        check_seen(run.path, seen, fold_list, 0)
        return
    with pytest.raises(UserError, match=r"has seen 1 of the \d+ images that fold 0 is validated or tested on"):
        check_seen(run.path, seen, fold_list, 0)
    check_seen(run.path, [SeenImages((digest,), fold_list.images_digest)], fold_list, 0)


def test_images_without_labels_that_the_start_of_weights_has_seen_count_too():
    own, before = SeenImages(("a",), "1"), SeenImages(("b",), "2")
    assert read_seen({"seen": [own.describe()]}, {"seen": [before.describe()]}) == (own, before)
    with pytest.raises(UserError, match="does not say which images it has seen"):
        read_seen({"seen": [1]}, {})
