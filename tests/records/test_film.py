"""FiLM: records that modulate a network, their encoding, and the recipe that trains both."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import run
from monai.networks.nets import resnet18

from medmamba_monai.core.errors import UserError, find_user_error
from medmamba_monai.core.files import write_json
from medmamba_monai.data import prepare_dataset
from medmamba_monai.networks import MedMamba
from medmamba_monai.networks.film import FiLM
from medmamba_monai.records import RecordInputs
from medmamba_monai.training.weights import read_description
from tests.helpers.recorded_samples import BY_PLACE, make_fold_list
from tests.helpers.small_bundle import SmallBundle


def small_network() -> MedMamba:
    return MedMamba(2, 1, 2, depths=(1, 1), channels=(8, 16))


def test_training_begins_with_the_network_itself_and_every_record_can_change_it() -> None:
    torch.manual_seed(0)
    network = small_network().eval()
    film = FiLM(network, num_records=3).eval()
    images, records = torch.rand(4, 1, 32, 32), torch.randn(4, 3)
    torch.testing.assert_close(film(images, records), network(images), rtol=0, atol=0)
    for layer in film.modulations:
        torch.nn.init.normal_(layer.weight)
    records.requires_grad_()
    film(images, records).sum().backward()
    assert records.grad is not None
    assert (records.grad != 0).all()
    assert all(parameter.grad is not None for parameter in film.parameters())


def test_only_a_medmamba_with_records_is_modulated() -> None:
    with pytest.raises(UserError, match=r"modulates the stages of a MedMamba, ResNet has none; .* medmamba-monai fuse"):
        FiLM(resnet18(spatial_dims=2, n_input_channels=1, num_classes=2), 3)
    with pytest.raises(UserError, match="needs clinical records, found 0"):
        FiLM(small_network(), 0)


def test_the_encoding_is_fitted_on_training_images_and_missing_has_an_indicator() -> None:
    labels = np.arange(40) % 2
    ages = [None if number % 5 == 0 else float(number) for number in range(40)]
    fold_list = make_fold_list(
        labels, [(age, "FMX"[number % 3] if number % 4 else None) for number, age in enumerate(ages)]
    )
    inputs = RecordInputs(fold_list, 0)
    assert (inputs.width, inputs.names) == (2 + 3 + 1, ["age", "sex"])
    parts = inputs.parts()
    train = np.stack([item["records"] for item in parts["train"]])
    assert train.dtype == np.float32
    missing = train[:, 1] == 1
    assert (train[missing, 0] == 0).all()
    np.testing.assert_allclose(train[~missing, 0].mean(), 0, atol=1e-6)
    np.testing.assert_allclose(train[~missing, 0].std(), 1, atol=1e-6)
    assert (train[:, 2:].sum(axis=1) == 1).all()
    known = [float(item["id"][-5:]) for item in parts["train"] if int(item["id"][-5:]) % 5]
    for item in parts["test"]:
        if number := int(item["id"][-5:]) % 5:
            expected = (int(item["id"][-5:]) - np.mean(known)) / np.std(known)
            np.testing.assert_allclose(item["records"][0], expected, rtol=1e-5, err_msg=str(number))


@pytest.mark.slow
def test_the_recipe_trains_and_evaluates_and_its_weights_are_not_taken_for_others(
    small_bundle: SmallBundle, tmp_path: Path, own_process: None
) -> None:
    data, card = Path(shutil.copytree(small_bundle.dataset_dir, tmp_path / "data")), tmp_path / "card.json"
    content = json.loads(Path(small_bundle.config("card")).read_text())
    images = [path.relative_to(data).as_posix() for path in sorted(data.rglob("*.png"))]
    lines = [f"{image},{number % 7},{'FM'[number % 2]}" for number, image in enumerate(images)]
    (data / "clinic.csv").write_text("\n".join(["file,age,sex", *lines]))
    records = {"columns": BY_PLACE["columns"], "path": "clinic.csv", "image_column": "file"}
    write_json(card, {**content, "records": records})
    folds = tmp_path / "folds.json"
    prepare_dataset(card, data, folds, num_folds=2, allow_count_mismatch=True)
    options = small_bundle.options(tmp_path, tracking_uri="", epochs=1, dataset_dir=str(data), data_list=str(folds))
    options |= {"ckpt_dir": str(tmp_path / "weights"), "logging_file": False}
    files = [small_bundle.config(name) for name in ("train", "recipes/film")]
    run("training", config_file=files, **options)
    run("evaluating", config_file=[*files, small_bundle.config("evaluate")], tta=True, **options)
    metrics = json.loads((tmp_path / "output" / "metrics.json").read_text())
    assert 0 <= metrics["test"]["auc"] <= 1
    assert read_description(tmp_path / "weights" / "model.pt")["records"] == ["age", "sex"]
    with pytest.raises((UserError, RuntimeError)) as caught:
        run("evaluating", config_file=[small_bundle.config(name) for name in ("train", "evaluate")], **options)
    assert "was trained with clinical records beside images (age, sex)" in str(find_user_error(caught.value))
