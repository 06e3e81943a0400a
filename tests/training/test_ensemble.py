"""The networks of all folds as one, from the functions to the commands."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import monai.bundle
import numpy as np
import pytest
import torch
from torch import nn

from medmamba_monai import MedMamba
from medmamba_monai.cards import load_card
from medmamba_monai.core.errors import UserError, find_user_error
from medmamba_monai.data import list_images, read_fold_list
from medmamba_monai.evaluation import read_predictions
from medmamba_monai.images import ConvertImage, ReadImage, ResizeImage
from medmamba_monai.training import copy_networks, list_fold_weights, load_weights, save_weights, select_ensemble_items
from tests.helpers.small_bundle import SMALL, SmallBundle

NETWORK = {key: SMALL[key] for key in ("depths", "channels")}


def write_folds(folder: Path, num_folds: int = 2) -> list[str]:
    """Weights of untrained networks, one a fold."""
    for fold in range(num_folds):
        torch.manual_seed(fold)
        network = MedMamba(2, 3, 2, **NETWORK)
        save_weights(network, folder / f"fold_{fold}" / "model.pt", {"image_size": 32, "fold": fold})
    return list_fold_weights(folder, num_folds)


def infer(bundle: SmallBundle, folder: Path, configs: list[str], **options: Any) -> np.ndarray:
    """Probabilities that ``inference`` writes for the test images."""
    monai.bundle.run(
        "inference",
        config_file=[bundle.config(name) for name in configs],
        bundle_root=str(bundle.root),
        dataset_dir=str(bundle.dataset_dir / "test"),
        output_dir=str(folder),
        image_size=32,
        **NETWORK,
        **options,
    )
    with (folder / "predictions.csv").open() as file:
        return np.array(
            [[float(row[key]) for key in row if key.startswith("probability")] for row in csv.DictReader(file)]
        )


def evaluate(bundle: SmallBundle, folder: Path, **options: Any) -> None:
    configs = [bundle.config(name) for name in ("train", "evaluate", "ensemble_evaluate")]
    monai.bundle.run("evaluating", config_file=configs, **bundle.options(folder, tracking_uri="", **options))


@pytest.mark.parametrize("tta", [False, True])
def test_an_inference_is_the_mean_of_those_of_the_folds(small_bundle, tmp_path, own_process, tta):
    paths = write_folds(tmp_path)
    single = [infer(small_bundle, tmp_path / "one", ["inference"], ckpt_path=path, tta=tta) for path in paths]
    configs = ["inference", "ensemble_inference"]
    ensemble = infer(small_bundle, tmp_path / "all", configs, folds_dir=str(tmp_path), num_folds=2, tta=tta)
    assert ensemble.shape == (20, 2)
    np.testing.assert_allclose(ensemble, np.mean(single, axis=0), rtol=0, atol=2e-6)
    assert not np.allclose(single[0], single[1], atol=1e-3)


def test_test_time_augmentation_changes_the_answer(small_bundle, tmp_path, own_process):
    path = write_folds(tmp_path, 1)[0]
    plain, averaged = (infer(small_bundle, tmp_path, ["inference"], ckpt_path=path, tta=tta) for tta in (False, True))
    assert 1e-5 < np.abs(plain - averaged).max() < 0.2


def test_scales_judge_windows_of_images_that_are_read_at_their_size(small_bundle, tmp_path, own_process):
    path = write_folds(tmp_path, 1)[0]
    found = infer(small_bundle, tmp_path, ["inference"], ckpt_path=path, scales=[1.5])
    card = load_card(small_bundle.root / "configs" / "card.json")
    read, convert = ReadImage(**card.reading_arguments()), ConvertImage(3)
    network = MedMamba(2, 3, 2, **NETWORK)
    load_weights(network, path, {})
    items = list_images(small_bundle.dataset_dir / "test", 2)
    images = torch.stack([convert(ResizeImage([48, 48])(read(item["image"]))) for item in items])
    with torch.inference_mode():
        parts = [network.eval()(images[..., r : r + 32, c : c + 32]).softmax(1) for r in (0, 16) for c in (0, 16)]
    np.testing.assert_allclose(found, torch.stack(parts).mean(0), rtol=0, atol=2e-6)
    text = (tmp_path / "predictions.csv").read_text()
    assert "doubt" not in text


@pytest.mark.slow
def test_an_evaluation_gives_the_ensemble_of_the_cross_validation(small_bundle, cross_validated, tmp_path, own_process):
    folder = tmp_path / "output"
    evaluate(small_bundle, tmp_path, folds_dir=str(cross_validated / "output"))
    found = read_predictions(folder / "predictions.csv", "binary")
    expected = read_predictions(cross_validated / "output" / "ensemble_predictions.csv", "binary")
    assert set(found.parts) == {"test"}
    assert found.ids == expected.ids
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=0, atol=1e-6)
    assert json.loads((folder / "metrics.json").read_text()).keys() == {"test"}


@pytest.mark.slow
@pytest.mark.parametrize("views", [{"tta": True}, {"scales": [1, 1.5]}])
def test_an_evaluation_over_several_views_is_reported_as_usual(
    small_bundle, cross_validated, tmp_path, own_process, views
):
    weights = str(cross_validated / "output" / "fold_0" / "model.pt")
    configs = [small_bundle.config(name) for name in ("train", "evaluate")]
    options = small_bundle.options(tmp_path, tracking_uri="", ckpt_path=weights)
    monai.bundle.run("evaluating", config_file=configs, **views, **options)
    found = read_predictions(tmp_path / "output" / "predictions.csv", "binary")
    plain = read_predictions(cross_validated / "output" / "fold_0" / "predictions.csv", "binary")
    assert (found.ids, found.parts) == (plain.ids, plain.parts)
    assert np.abs(found.probabilities - plain.probabilities).max() > 1e-6


def test_a_fold_without_weights_is_named(small_bundle, tmp_path, own_process):
    write_folds(tmp_path, 1)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps it
        evaluate(small_bundle, tmp_path, folds_dir=str(tmp_path))
    assert f"no weights at {tmp_path}/fold_1/model.pt: train this fold too" in str(find_user_error(caught.value))


def test_weights_of_another_size_are_refused(small_bundle, tmp_path, own_process):
    paths = write_folds(tmp_path)
    save_weights(MedMamba(2, 3, 2, **NETWORK), paths[1], {"image_size": 48})
    with pytest.raises(Exception) as caught:  # noqa: PT011
        infer(small_bundle, tmp_path, ["inference", "ensemble_inference"], ckpt_paths=paths)
    assert "fold_1/model.pt was trained with image_size 48, but 32" in str(find_user_error(caught.value))


def test_without_an_official_test_set_there_is_nothing_to_evaluate_on(small_bundle):
    folds = read_fold_list(small_bundle.data_list, small_bundle.dataset_dir)
    assert {item["part"] for item in select_ensemble_items(folds)} == {"test"}
    assert len(select_ensemble_items(folds)) == folds.num_test
    with pytest.raises(UserError, match="Every image was a training image of other folds"):
        select_ensemble_items(folds.model_copy(update={"protocol": "cross-validation"}))


@pytest.mark.parametrize("paths", [[], "model.pt"])
def test_what_is_no_list_of_weights(paths):
    with pytest.raises(UserError, match=r"--ckpt_paths .*: give a list of files"):
        copy_networks(nn.Identity(), paths)


def test_weights_that_would_count_twice():
    with pytest.raises(UserError, match="a is named twice"):
        copy_networks(nn.Identity(), ["a", "b", "a"])


def test_the_weights_of_a_single_network(small_bundle, tmp_path, own_process):
    paths = write_folds(tmp_path)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        infer(small_bundle, tmp_path, ["inference", "ensemble_inference"], ckpt_paths=paths, ckpt_path=paths[0])
    assert "fold_0/model.pt: an ensemble takes a list of files, --ckpt_paths" in str(find_user_error(caught.value))


def test_the_networks_do_not_share_weights():
    first, second = copy_networks(nn.Linear(1, 1), ["a", "b"])
    assert first.weight.data_ptr() != second.weight.data_ptr()
