from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import monai.networks.nets
import pytest
import torch
from monai.bundle import ComponentLocator, ConfigParser, ckpt_export, verify_net_in_out
from torch import nn

import medmamba_monai
from medmamba_monai import MedMamba
from medmamba_monai.networks.monai import register_with_monai

NETWORK: dict[str, Any] = {
    "_target_": "MedMamba",
    "spatial_dims": 2,
    "in_channels": 1,
    "num_classes": 2,
    "depths": [1, 1],
    "channels": [8, 16],
}
IMAGE: dict[str, Any] = {
    "type": "image",
    "format": "magnitude",
    "modality": "X-ray",
    "num_channels": 1,
    "spatial_shape": [16, 24],
    "dtype": "float32",
    "value_range": [0, 1],
    "is_patch_data": False,
    "channel_def": {"0": "image"},
}
LOGITS: dict[str, Any] = {**IMAGE, "type": "probabilities", "num_channels": 2, "spatial_shape": [2]}


@pytest.fixture
def config_file(tmp_path: Path) -> str:
    (tmp_path / "inference.json").write_text(json.dumps({"network_def": NETWORK}))
    return str(tmp_path / "inference.json")


@pytest.fixture
def meta_file(tmp_path: Path) -> str:
    formats = {"inputs": {"image": IMAGE}, "outputs": {"pred": LOGITS}}
    (tmp_path / "metadata.json").write_text(json.dumps({"network_data_format": formats}))
    return str(tmp_path / "metadata.json")


@pytest.mark.parametrize(
    "target",
    ["MedMamba", "monai.networks.nets.MedMamba", "medmamba_monai.MedMamba", "medmamba_monai.networks.MedMamba"],
)
def test_config_target(target: str) -> None:
    parser = ConfigParser({"network_def": {**NETWORK, "_target_": target}})
    assert type(parser.get_parsed_content("network_def")) is MedMamba


def test_monai_has_the_network() -> None:
    assert monai.networks.nets.MedMamba is MedMamba


def test_registering_again_changes_nothing() -> None:
    before = ComponentLocator.MOD_START
    register_with_monai()
    assert before == ComponentLocator.MOD_START == ("monai", MedMamba.__module__)


def test_network_of_monai_itself_is_left_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = type("MedMamba", (nn.Identity,), {})
    monkeypatch.setattr(monai.networks.nets, "MedMamba", upstream)
    monkeypatch.setattr(ComponentLocator, "MOD_START", "monai")
    register_with_monai()
    assert monai.networks.nets.MedMamba is upstream
    assert ComponentLocator.MOD_START == "monai"


def test_no_short_name_of_monai_becomes_ambiguous() -> None:
    locator = ComponentLocator()
    ours = locator._find_classes_or_functions(MedMamba.__module__)
    assert "MedMamba" in ours
    assert all(locator.get_component_module_name(name) == MedMamba.__module__ for name in ours)


def test_verify_net_in_out(config_file: str, meta_file: str) -> None:
    verify_net_in_out("network_def", meta_file=meta_file, config_file=config_file, device="cpu")


def test_verify_net_in_out_can_fail(config_file: str, meta_file: str) -> None:
    with pytest.raises(ValueError, match="3 channels and 2 spatial axes"):
        verify_net_in_out(
            "network_def", meta_file=meta_file, config_file=config_file, device="cpu", **{"network_def#in_channels": 3}
        )


def test_ckpt_export(config_file: str, meta_file: str, tmp_path: Path) -> None:
    net = MedMamba(**{key: value for key, value in NETWORK.items() if key != "_target_"}).eval()
    torch.save(net.state_dict(), tmp_path / "model.pt")
    ckpt_export(
        "network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(tmp_path / "model.pt"),
        meta_file=meta_file,
        config_file=config_file,
        **{"network_def#exportable": True},
    )
    x = torch.rand(2, 1, 16, 24)
    assert torch.allclose(torch.jit.load(tmp_path / "model.ts")(x), net(x), rtol=1e-4, atol=1e-6)


def test_version_is_that_of_the_installed_package() -> None:
    assert medmamba_monai.__version__.count(".") >= 2
