"""Each bundle is what MONAI and its model zoo ask for, by MONAI's own tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

import medmamba_monai
from medmamba_monai import MedMamba
from medmamba_monai.networks import read_architecture
from medmamba_monai.training import SyncBuffers, load_weights, save_weights
from tests.helpers.small_bundle import ROOT, SMALL, SmallBundle

BUNDLES = sorted((ROOT / "bundles").iterdir())
REQUIRED_FILES = (
    "LICENSE",
    "configs/metadata.json",
    "configs/train.json",
    "configs/evaluate.json",
    "configs/inference.json",
    "configs/pretrain.json",
    "configs/ensemble_evaluate.json",
    "configs/ensemble_inference.json",
    "configs/recipes/augmented.json",
    "configs/recipes/class_weighted.json",
    "configs/recipes/film.json",
    "configs/recipes/focal_loss.json",
    "configs/recipes/strongly_augmented.json",
    "configs/multi_gpu_train.json",
    "configs/cross_validation.json",
    "configs/data.json",
    "configs/logging.conf",
    "configs/card.json",
    "docs/README.md",
    "docs/data_license.txt",
)
SMALL_NETWORK = {"depths": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}
for_every_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=[path.name for path in BUNDLES])


def config(bundle: Path, name: str) -> dict[str, Any]:
    return json.loads((bundle / "configs" / f"{name}.json").read_text())


def workflow(bundle: Path, configs: list[str], kind: str, **overrides: Any) -> ConfigWorkflow:
    made = ConfigWorkflow(
        config_file=[str(bundle / "configs" / f"{name}.json") for name in configs],
        meta_file=str(bundle / "configs" / "metadata.json"),
        logging_file=False,
        workflow_type=kind,
        bundle_root=str(bundle),
        **overrides,
    )
    made.initialize()
    return made


@for_every_bundle
def test_every_file_is_there(bundle):
    assert [name for name in REQUIRED_FILES if not (bundle / name).is_file()] == []


@for_every_bundle
def test_metadata_fits_the_official_schema(bundle, reference_dir, own_process):
    schema = reference_dir / "meta_schema_20240725.json"
    monai.bundle.verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(schema))


def test_the_schema_refuses_metadata_without_a_version(reference_dir, tmp_path, own_process):
    metadata = config(BUNDLES[0], "metadata")
    del metadata["version"]
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    schema = reference_dir / "meta_schema_20240725.json"
    with pytest.raises(ValueError, match="'version' is a required property"):
        monai.bundle.verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(schema))


@for_every_bundle
def test_the_changelog_and_the_package_have_the_bundles_version(bundle):
    metadata = config(bundle, "metadata")
    assert metadata["version"] in metadata["changelog"]
    assert metadata["version"] == medmamba_monai.__version__
    assert metadata["required_packages_version"]["medmamba-monai"] == medmamba_monai.__version__


@for_every_bundle
def test_what_the_model_zoo_asks_for_stands_in_the_configs(bundle):
    assert {"val_interval", "network_def", "device", "dataset_dir", "bundle_root"} <= config(bundle, "train").keys()
    assert {"network_def", "dataset", "evaluator", "inferer", "inference"} <= config(bundle, "inference").keys()
    assert "evaluating" in config(bundle, "evaluate")
    assert "**Performance**" in (bundle / "docs" / "README.md").read_text()


@pytest.mark.parametrize(
    ("configs", "kind"),
    [
        (["train"], "train"),
        (["train", "recipes/augmented"], "train"),
        (["train", "evaluate"], "train"),
        (["inference"], "inference"),
        (["inference", "ensemble_inference"], "inference"),
    ],
)
def test_monai_finds_every_property(small_bundle: SmallBundle, tmp_path, configs, kind, own_process):
    options = small_bundle.options(tmp_path, bundle_root=None, tracking_uri="")
    if kind == "inference":
        images = str(small_bundle.dataset_dir / "test")
        options = {"dataset_dir": images, "depths": SMALL["depths"], "channels": SMALL["channels"]}
    assert workflow(small_bundle.root, configs, kind, **options).check_properties() == []


@pytest.mark.long
def test_monai_finds_every_property_with_the_real_data(real_data_dir, real_folds, tmp_path, own_process):
    bundle = ROOT / "bundles" / "pneumoniamnist"
    options = {"dataset_dir": str(real_data_dir), "data_list": str(real_folds / "folds.json")}
    options |= {"output_dir": str(tmp_path / "out"), "tracking_uri": "", "cache": "none", **SMALL_NETWORK}
    for configs in (["train"], ["train", "evaluate"]):
        assert workflow(bundle, configs, "train", **options).check_properties() == []


@for_every_bundle
def test_the_network_has_the_inputs_and_outputs_of_the_metadata(bundle, own_process):
    monai.bundle.verify_net_in_out(
        net_id="network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        device="cpu",
        **SMALL_NETWORK,
    )


@pytest.mark.parametrize("exportable", [True, False])
def test_exported_torchscript_answers_as_the_network(small_bundle: SmallBundle, tmp_path, own_process, exportable):
    network = MedMamba(2, 3, 2, **SMALL_NETWORK).eval()
    save_weights(network, tmp_path / "model.pt")
    monai.bundle.ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(tmp_path / "model.pt"),
        meta_file=small_bundle.config("metadata"),
        config_file=small_bundle.config("inference"),
        **{**SMALL_NETWORK, "network_def#exportable": exportable},
    )
    exported, images = torch.jit.load(tmp_path / "model.ts").eval(), torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(exported(images), network(images), rtol=1e-4, atol=1e-5)
    assert ("medmamba_monai::directional_scan" in str(exported.inlined_graph)) != exportable


def test_every_config_builds_the_same_network():
    bundle = ROOT / "bundles" / "phantom"
    train, inference = config(bundle, "train"), config(bundle, "inference")
    only_in_training = {"drop_path_rate", "grad_checkpointing"}
    assert {key: value for key, value in train["network_def"].items() if key not in only_in_training} == inference[
        "network_def"
    ]
    steps = train["train"]["reading"]["transforms"] + train["train"]["preprocessing"]["transforms"]
    assert inference["preprocessing"]["transforms"] == [step for step in steps if "label" not in str(step)]
    assert train["depths"] == inference["depths"]


def test_defaults_are_medmamba_tiny_and_the_papers_recipe():
    bundle = ROOT / "bundles" / "pneumoniamnist"
    train, metadata = config(bundle, "train"), config(bundle, "metadata")
    inference = ConfigParser(config(bundle, "inference"))
    inference.update({"_meta_": metadata, "bundle_root": str(bundle)})
    architecture = read_architecture(inference.get_parsed_content("network_def").state_dict())
    assert (architecture["depths"], architecture["channels"]) == ((2, 2, 4, 2), (96, 192, 384, 768))
    assert metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] == [224, 224]
    assert (train["batch_size"], train["epochs"]) == (64, 100)
    assert (train["learning_rate"], train["weight_decay"]) == (0.001, 0.0001)
    assert train["optimizer"]["_target_"] == "torch.optim.Adam"


def test_weights_of_a_bundle_load_into_the_network_in_python(small_bundle, cross_validated):
    network = MedMamba(2, 3, 2, depths=(1, 1), channels=(8, 16))
    description = load_weights(network, cross_validated / "output" / "fold_0" / "model.safetensors")
    assert description["image_size"] == 32
    assert description["class_names"] == ["Normal (line)", "Nodule (blob)"]


def test_batch_norms_are_in_step_before_own_handlers_run_on_several_gpus() -> None:
    parser = ConfigParser()
    parser.read_config([str(BUNDLES[0] / "configs" / f"{name}.json") for name in ("train", "multi_gpu_train")])
    parser["network"] = parser["validated_network"] = "$torch.nn.BatchNorm2d(1)"
    parser["train#handlers"] = parser["train#handlers_after_validation"] = []
    parser["train#more_handlers"], parser["train#precise_batch_norm"] = ["own"], "precise"
    given, first, second, own, precise = parser.get_parsed_content("train#trainer#train_handlers")
    assert given is parser.get_parsed_content("train#given_weights")
    assert (type(first), type(second), own, precise) == (SyncBuffers, SyncBuffers, "own", "precise")
