"""Self-supervised pretraining of a bundle's network: what it sees, how it goes on, what a training makes of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from medmamba_monai import Bundle
from medmamba_monai.core.errors import UserError
from medmamba_monai.data import read_fold_list
from medmamba_monai.training import load_weights
from medmamba_monai.training.pretrained.weights_file import WeightsFile
from tests.helpers.small_bundle import SMALL, SmallBundle
from tests.helpers.small_images import draw
from tests.helpers.threads import compute_with_one_thread

pytestmark = pytest.mark.usefixtures("own_process")
SIZES: dict[str, Any] = {**SMALL, "epochs": 2, "batch_size": 8, "learning_rate": 0.001}


def open_bundle(small: SmallBundle, folder: Path, **options: Any) -> Bundle:
    places = {"dataset_dir": small.dataset_dir, "data_list": small.data_list, "tracking_uri": ""}
    if not (folder / "bundle").exists():
        shutil.copytree(small.root, folder / "bundle")
    return Bundle(folder / "bundle", **{**places, **SIZES, **options})


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def pretrained(small_bundle, tmp_path_factory):
    """The folder of a pretraining of both folds."""
    with compute_with_one_thread():
        return open_bundle(small_bundle, tmp_path_factory.mktemp("pretrained")).pretrain()


def test_a_pretraining_of_each_fold_says_what_it_has_seen(small_bundle, pretrained):
    fold_list = read_fold_list(small_bundle.data_list, small_bundle.dataset_dir)
    assert pretrained.name == "pretraining"
    for fold in (0, 1):
        file = WeightsFile(pretrained / f"fold_{fold}" / "model.safetensors")
        assert file.kind == "self-supervised"
        assert [(one.fold, one.fold_digest) for one in file.origins] == [(fold, fold_list.digest)]
        assert file.description["self_supervised"] == {"method": "contrastive", "images": 20}
        assert "class_names" not in file.description
        journal = (pretrained / f"fold_{fold}" / "tracking.jsonl").read_text()
        assert "contrastive, 18 images of the training part" in journal
        assert '"validation/loss"' in journal
        assert str(small_bundle.dataset_dir) not in journal


def test_a_pretraining_that_stopped_goes_on_with_the_same_weights(small_bundle, pretrained, tmp_path):
    bundle = open_bundle(small_bundle, tmp_path)
    bundle.pretrain(fold=0, pause_after=1)
    again = read_weights(bundle.pretrain(fold=0) / "fold_0")
    whole = read_weights(pretrained / "fold_0")
    assert all(torch.equal(again[name], whole[name]) for name in whole)
    with pytest.raises(UserError, match="trained with method 'contrastive', but 'masked'"):
        bundle.pretrain(fold=0, method="masked")


def test_a_training_starts_from_the_pretraining_of_its_own_fold(small_bundle, pretrained, tmp_path):
    bundle = open_bundle(small_bundle, tmp_path, epochs=1, learning_rate=0.0, weight_decay=0.0)
    trained = bundle.train(fold=1, pretrained=pretrained, seed=1)
    before, after = read_weights(pretrained / "fold_1"), read_weights(trained.weights.parent)
    counted = ("head.", "running_mean", "running_var", "num_batches_tracked")
    learnt = [name for name in before if not any(part in name for part in counted)]
    assert all(torch.equal(before[name], after[name]) for name in learnt)
    assert not torch.equal(before["head.weight"], after["head.weight"])
    assert "self-supervised weights know no classes" in (trained.directory / "tracking.jsonl").read_text()
    with pytest.raises(UserError, match="has seen images that fold 0 is validated or tested on"):
        bundle.train(fold=0, pretrained=pretrained / "fold_1")


def test_self_supervised_weights_classify_nothing(pretrained):
    with pytest.raises(UserError, match=r"holds self-supervised weights.* --pretrained"):
        load_weights(torch.nn.Linear(1, 1), pretrained / "fold_0" / "model.pt")


def test_a_folder_is_pretrained_on_once_for_all_folds_without_the_bundles_own_images(small_bundle, tmp_path, caplog):
    images = tmp_path / "images"
    for seed in range(12):
        draw(images / f"{seed}.png", seed)
    own = sorted(path for path in small_bundle.dataset_dir.rglob("*.png"))[:3]
    for path in own:
        shutil.copy(path, images / f"copy_{path.name}")
    bundle = open_bundle(small_bundle, tmp_path, epochs=1)
    with caplog.at_level("INFO", "medmamba_monai"):
        folder = bundle.pretrain(method="masked", images_dir=images, precise_batch_norm=True)
    assert f"3 of {len(list(images.iterdir()))} images are the bundle's own" in caplog.text
    file = WeightsFile(folder / "model.safetensors")
    assert file.origins == ()
    assert len(file.seen[0].pixels) == file.description["self_supervised"]["images"] == 12
    fold_list = read_fold_list(small_bundle.data_list, small_bundle.dataset_dir)
    for fold in (0, 1):
        file.check_unseen(fold_list, fold)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "dino"}, "--method 'dino': give contrastive or masked"),
        ({"images_dir": "nowhere"}, "--images_dir nowhere: there is no such folder"),
        ({"network_name": "resnet18", "depths": None, "channels": None}, "pretrain is of a MedMamba"),
        ({"method": "masked", "mask_size": 32}, "must hold two such parts"),
    ],
)
def test_what_cannot_be_pretrained_is_refused(small_bundle, tmp_path, options, said):
    with pytest.raises(UserError, match=said):
        open_bundle(small_bundle, tmp_path).pretrain(fold=0, **options)
    assert not list((tmp_path / "bundle" / "output").rglob("*.pt"))


def test_too_few_images_are_refused(small_bundle, tmp_path):
    draw(tmp_path / "images" / "one.png", 0)
    with pytest.raises(UserError, match=r"holds 1 images or patients .* needs 10 or more"):
        open_bundle(small_bundle, tmp_path).pretrain(images_dir=tmp_path / "images")


def test_a_fold_may_be_text_and_folds_have_folders_of_their_own_below_one_that_is_given(small_bundle, tmp_path, capsys):
    bundle = open_bundle(small_bundle, tmp_path, epochs=1)
    place = tmp_path / "elsewhere"
    assert bundle.pretrain(output_dir=place) == place
    assert [(place / f"fold_{fold}" / "model.safetensors").is_file() for fold in (0, 1)] == [True, True]
    capsys.readouterr()
    assert bundle.pretrain(fold="1", output_dir=place / "fold_1") == place / "fold_1"
    assert f"--pretrained {place / 'fold_1' / 'model.pt'}" in capsys.readouterr().out
