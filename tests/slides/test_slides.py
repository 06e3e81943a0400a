"""Slides from a folder to a fold's metrics, by the verbs that images have."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medmamba_monai import Bundle
from medmamba_monai.bundle.new_bundle import new_bundle
from medmamba_monai.core.errors import UserError
from medmamba_monai.data import read_fold_list
from medmamba_monai.data.phantom_slides import GROUP_PATTERN, write_phantom_slides
from medmamba_monai.data.propose.card import Options
from medmamba_monai.data.propose.labels import Labels
from medmamba_monai.networks import MedMamba
from medmamba_monai.slides import embed_slides, show_attention
from medmamba_monai.slides.store import ENCODER, FeatureStore
from medmamba_monai.training import save_weights

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_process")]

SLIDES, TILE = 12, 32


def write_encoder(folder: Path) -> Path:
    """Write the weights of a small MedMamba that nothing has trained."""
    path = folder / "encoder" / "model.safetensors"
    torch.manual_seed(0)
    network = MedMamba(2, 3, 2, depths=(1, 1), channels=(8, 16))
    return save_weights(network, path.with_suffix(".pt"), {"network_name": "medmamba"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve slides, their bundle with three folds, and the features of the slides."""
    root = tmp_path_factory.mktemp("slides")
    write_phantom_slides(root / "data", SLIDES, edge=256)
    options = Options(image_size=TILE, classes=("normal", "lesion"), tiling={"microns_per_pixel": 0.5})
    bundle = new_bundle("biopsies", root / "data", Labels(group_pattern=GROUP_PATTERN), options, root)
    Bundle(bundle).prepare(dataset_dir=root / "data", data_list=root / "folds.json", num_folds=3)
    embed(root)
    return root


def embed(root: Path, **options: object) -> FeatureStore:
    places = {"dataset_dir": root / "data", "data_list": root / "folds.json", "device": "cpu"}
    return embed_slides(root / "bundles" / "biopsies", write_encoder(root), **places, **options)


def open_bundle(root: Path) -> Bundle:
    places = {"dataset_dir": str(root / "data"), "data_list": str(root / "folds.json")}
    return Bundle(root / "bundles" / "biopsies", tracking_uri="", **places)


@pytest.fixture(scope="module")
def trained(folder):
    """The bundle with its first fold trained, evaluated and left as the fold of a run."""
    run = folder / "run" / "fold_0"
    bundle = open_bundle(folder)
    bundle.train(fold=0, epochs=2, output_dir=str(run), ckpt_dir=str(run))
    return bundle, run, bundle.evaluate(fold=0, output_dir=str(run), ckpt_path=str(run / "model.pt"))


def test_the_folds_keep_the_slides_of_a_patient_together(folder):
    training = json.loads((folder / "folds.json").read_text())["training"]
    assert len(training) == SLIDES
    folds = {(Path(item["image"]).name[:3], item["fold"]) for item in training}
    assert sorted(patient for patient, _ in folds) == [f"P{number:02d}" for number in range(SLIDES // 2)]


def test_features_of_every_slide_are_there_with_their_places(folder):
    store = FeatureStore(folder / "bundles" / "biopsies" / "features")
    files = [path for path in store.folder.glob("*.npy") if "corners" not in path.name]
    assert len(files) == SLIDES
    features, corners = store.open_features(files[0].stem), store.read_corners(files[0].stem)
    assert features.shape == (len(corners), 16) == (len(corners), store.manifest.width)
    assert isinstance(features.base, np.memmap) or isinstance(features, np.memmap)
    assert (corners % TILE == 0).all()
    assert (store.folder / ENCODER).read_bytes() == write_encoder(folder).read_bytes()


def test_embedding_goes_on_with_the_slides_that_are_left(folder, tmp_path, capsys):
    shutil.copytree(folder / "bundles" / "biopsies" / "features", tmp_path / "features")
    first, second = sorted(path for path in (tmp_path / "features").glob("*.npy") if "corners" not in path.name)[:2]
    before, whole = second.stat().st_mtime_ns, first.read_bytes()
    first.unlink()
    (tmp_path / "features" / f".{first.name}.0123abcd.npy").write_bytes(whole[:100])  # what a killed process leaves
    embed(folder, output=tmp_path / "features")
    assert "1 slides embedded" in (printed := capsys.readouterr().out)
    assert f"{SLIDES - 1} were there" in printed
    assert first.read_bytes() == whole
    assert second.stat().st_mtime_ns == before
    assert not [*(tmp_path / "features").glob(".*.npy")]


def test_features_of_another_kind_are_not_mixed(folder, tmp_path):
    shutil.copytree(folder / "bundles" / "biopsies" / "features", tmp_path / "features")
    torch.manual_seed(1)
    other = save_weights(MedMamba(2, 3, 2, depths=(1, 1), channels=(8, 16)), tmp_path / "other.pt", {})
    places = {"dataset_dir": folder / "data", "data_list": folder / "folds.json", "output": tmp_path / "features"}
    with pytest.raises(UserError, match=r"holds features of MedMamba sha256:.*or pass --overwrite"):
        embed_slides(folder / "bundles" / "biopsies", other, device="cpu", **places)


def test_a_slide_that_cannot_be_read_is_named_before_anything_is_trained(folder, tmp_path):
    shutil.copytree(folder / "data", tmp_path / "data")
    (tmp_path / "data" / "normal" / "P00_1.tif").write_bytes(b"II*\0 nothing that follows")
    with pytest.raises(UserError, match=r"1 images cannot be used:\n.*P00_1\.tif: is no slide that OpenSlide reads"):
        open_bundle(folder).prepare(dataset_dir=tmp_path / "data", data_list=tmp_path / "folds.json", num_folds=3)


def test_a_fold_is_trained_and_evaluated_on_bags_of_tiles(trained):
    _, run, evaluated = trained
    assert sorted(evaluated.predictions.ids) == sorted(set(evaluated.predictions.ids))
    assert {"validation", "test"} <= set(evaluated.metrics)
    assert (run / "model.safetensors").is_file()


def test_new_slides_are_classified_with_features_that_are_made_on_the_way(folder, trained, tmp_path):
    bundle, run, evaluated = trained
    write_phantom_slides(tmp_path / "new", 1, edge=256, seed=9)
    tested = read_fold_list(folder / "folds.json", folder / "data").parts(0)["test"][0]
    shutil.copy(tested["image"], tmp_path / "new" / "known.tif")
    table = Bundle(bundle.root, ckpt_path=str(run / "model.pt"), device="cpu").predict(tmp_path / "new")
    assert len(table) == 2
    known = dict(zip(evaluated.predictions.ids, evaluated.predictions.probabilities, strict=True))
    found = table.loc["known.tif"][["normal", "lesion"]].astype(float).to_numpy()
    np.testing.assert_allclose(found, known[tested["id"]], atol=1e-4)


@pytest.mark.long
def test_the_attention_is_shown_over_each_slide(folder, trained):
    _, run, _ = trained
    content = {
        "data_list": str(folder / "folds.json"),
        "dataset_dir": str(folder / "data"),
        "inputs": "tiles of slides",
    }
    content |= {"card": str(folder / "bundles" / "biopsies" / "configs" / "card.json")}
    content |= {"fold_digest": json.loads((folder / "folds.json").read_text())["digest"]}
    (run.parent / "description.json").write_text(json.dumps(content))
    shown = show_attention(run.parent)
    tested = [item["id"] for item in read_fold_list(folder / "folds.json", folder / "data").parts(0)["test"]]
    assert sorted(path.stem for path in shown.glob("*.png")) == sorted(tested)
    rows = np.loadtxt(shown / f"{tested[0]}.csv", delimiter=",", skiprows=1)
    assert rows[:, 2].sum() == pytest.approx(1, abs=1e-3)
    with Image.open(shown / f"{tested[0]}.png") as figure:
        assert min(figure.size) > 500


def test_options_of_images_are_refused(folder, tmp_path):
    bundle, places = open_bundle(folder), {"output_dir": str(tmp_path), "ckpt_dir": str(tmp_path), "epochs": 1}
    with pytest.raises(UserError, match="'resnet18': takes images"):
        bundle.train(network_name="resnet18", **places)
    with pytest.raises(UserError, match="--cache memory: features of slides are mapped from disk"):
        bundle.train(cache="memory", **places)
