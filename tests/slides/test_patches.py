"""Volumes in patches from a folder to predictions, where it is known which patch tells the class."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from medmamba_monai import Bundle
from medmamba_monai.bundle.new_bundle import new_bundle
from medmamba_monai.cards import load_card
from medmamba_monai.cards.parts import Reading
from medmamba_monai.core.errors import UserError
from medmamba_monai.data import read_fold_list
from medmamba_monai.data.propose.card import Options
from medmamba_monai.data.propose.labels import Labels
from medmamba_monai.networks import MedMamba
from medmamba_monai.slides import BundleFeatures, embed_slides, show_attention
from medmamba_monai.slides.store import FeatureStore
from medmamba_monai.training import save_weights

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_process")]

VOLUMES, PATCH = 16, 16
SPACING = (1.0, 1.0, 2.0)
"""In mm; patches have voxels of 1 mm, so that they are made of 16 x 16 x 8 voxels."""


def write_volumes(folder: Path, number: int, seed: int) -> dict[str, np.ndarray]:
    """Write gray noise, with a bright ball of 4 mm in one place of every second volume; returns where, in voxels."""
    generator = np.random.default_rng(seed)
    shape, places = (48, 48, 24), {}
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) * SPACING
    for index in range(number):
        label, name = ("normal", "lesion")[index % 2], f"P{index:02d}.nii.gz"
        values = generator.normal(300, 40, shape) + generator.uniform(-60, 60)
        patch = generator.integers(0, 3, 3)
        place = (patch + 0.5) * PATCH
        if label == "lesion":
            values[np.linalg.norm(grid - place, axis=-1) <= 5] += 500
            places[name] = patch * np.array([16, 16, 8])
        (folder / label).mkdir(parents=True, exist_ok=True)
        image = nibabel.Nifti1Image(values.round().astype(np.int16), np.diag([*SPACING, 1]))
        nibabel.save(image, folder / label / name)
    return places


def write_encoder(folder: Path, spatial_dims: int = 3) -> Path:
    """Write the weights of a small MedMamba that nothing has trained."""
    torch.manual_seed(0)
    network = MedMamba(spatial_dims, 3, 2, depths=(1, 1), channels=(8, 16))
    return save_weights(network, folder / f"encoder{spatial_dims}.pt", {"network_name": "medmamba"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixteen volumes, their bundle with four folds, and the features of their patches."""
    root = tmp_path_factory.mktemp("patches")
    places = write_volumes(root / "data", VOLUMES, seed=0)
    (root / "places.json").write_text(json.dumps({name: place.tolist() for name, place in places.items()}))
    reading = {"intensity_range": [0, 1000], "clip": True}
    options = Options(image_size=PATCH, reading=reading, patching={"millimetres_per_voxel": 1.0})
    options.classes = ("normal", "lesion")
    bundle = new_bundle("scans", root / "data", Labels(), options, root)
    Bundle(bundle).prepare(dataset_dir=root / "data", data_list=root / "folds.json", num_folds=4)
    embed(root)
    return root


def embed(root: Path, encoder: Path | None = None, **options: object) -> FeatureStore:
    places = {"dataset_dir": root / "data", "data_list": root / "folds.json", "device": "cpu"}
    return embed_slides(root / "bundles" / "scans", encoder or write_encoder(root), **places, **options)


@pytest.fixture(scope="module")
def trained(folder):
    """The bundle with its first fold trained, evaluated and left as the fold of a run."""
    run = folder / "run" / "fold_0"
    places = {"dataset_dir": str(folder / "data"), "data_list": str(folder / "folds.json")}
    bundle = Bundle(folder / "bundles" / "scans", tracking_uri="", device="cpu", **places)
    options = {"learning_rate": 0.01, "epochs": 40, "patience": 0}
    bundle.train(fold=0, output_dir=str(run), ckpt_dir=str(run), **options)
    return bundle, run, bundle.evaluate(fold=0, output_dir=str(run), ckpt_path=str(run / "model.pt"))


def test_features_of_every_patch_are_there_with_their_places(folder):
    store = FeatureStore(folder / "bundles" / "scans" / "features")
    files = [path for path in store.folder.glob("*.npy") if "corners" not in path.name]
    assert len(files) == VOLUMES
    features, corners = store.open_features(files[0].stem), store.read_corners(files[0].stem)
    assert features.shape == (27, store.manifest.width) == (27, 16)
    assert sorted(map(tuple, corners.tolist())) == [
        (x, y, z) for x in (0, 16, 32) for y in (0, 16, 32) for z in (0, 8, 16)
    ]


def test_the_bundle_says_what_its_networks_are_given(folder):
    configs = folder / "bundles" / "scans" / "configs"
    assert json.loads((configs / "train.json").read_text())["inputs"] == "patches of volumes"
    assert not (configs / "recipes" / "augmented.json").exists()


@pytest.mark.long
def test_volumes_are_told_apart_by_the_patch_that_differs(folder, trained):
    _, _, evaluated = trained
    assert evaluated.metrics["test"]["auc"] == 1
    assert evaluated.metrics["test"]["accuracy"] == 1
    assert len(evaluated.predictions.select("test").ids) == VOLUMES // 4


@pytest.mark.long
def test_new_volumes_are_classified_as_the_same_ones_were(folder, trained, tmp_path):
    bundle, run, evaluated = trained
    write_volumes(tmp_path / "new", 6, seed=1)
    tested = read_fold_list(folder / "folds.json", folder / "data").parts(0)["test"][0]
    (tmp_path / "new" / "known.nii.gz").write_bytes(Path(tested["image"]).read_bytes())
    table = Bundle(bundle.root, ckpt_path=str(run / "model.pt"), device="cpu").predict(tmp_path / "new")
    lesion, normal = (table["lesion"].astype(float)[table.index.str.startswith(name)] for name in ("lesion", "normal"))
    assert (len(lesion), len(normal)) == (3, 3)
    assert lesion.min() > normal.max()
    known = dict(zip(evaluated.predictions.ids, evaluated.predictions.probabilities, strict=True))
    found = table.loc["known.nii.gz"][["normal", "lesion"]].astype(float).to_numpy()
    np.testing.assert_allclose(found, known[tested["id"]], atol=1e-4)


@pytest.mark.long
def test_the_attention_is_to_the_patch_with_the_lesion(folder, trained):
    _, run, _ = trained
    card = folder / "bundles" / "scans" / "configs" / "card.json"
    content = {"data_list": str(folder / "folds.json"), "dataset_dir": str(folder / "data"), "card": str(card)}
    content |= {
        "inputs": "patches of volumes",
        "fold_digest": json.loads((folder / "folds.json").read_text())["digest"],
    }
    (run.parent / "description.json").write_text(json.dumps(content))
    shown = show_attention(run.parent)
    places = json.loads((folder / "places.json").read_text())
    tested = read_fold_list(folder / "folds.json", folder / "data").parts(0)["test"]
    seen = 0
    for item in tested:
        rows = np.loadtxt(shown / f"{item['id']}.csv", delimiter=",", skiprows=1)
        assert rows[:, 3].sum() == pytest.approx(1, abs=1e-3)
        with Image.open(shown / f"{item['id']}.png") as figure:
            assert min(figure.size) > 500
        if place := places.get(Path(item["image"]).name):
            assert rows[rows[:, 3].argmax(), :3].tolist() == place
            seen += 1
    assert seen == len(tested) // 2


def test_features_by_other_rules_or_another_network_are_refused(folder, tmp_path):
    with pytest.raises(UserError, match="is of a network for 2 dimensions and 3 channels; needed is one for 3"):
        embed(folder, write_encoder(tmp_path, 2), output=tmp_path / "features")
    card = load_card(folder / "bundles" / "scans" / "configs" / "card.json")
    features = folder / "bundles" / "scans" / "features"
    assert BundleFeatures(features, card).width == 16
    other = card.model_copy(update={"reading": Reading(intensity_range=(0, 900), clip=True)})
    with pytest.raises(UserError, match=r"patches of 16 pixels, .*intensity_range \[0.0, 1000.0\].* no longer says"):
        BundleFeatures(features, other).manifest  # noqa: B018 - reading it is what raises
