from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks import MedMamba, load_official_checkpoint, read_architecture, to_official_state_dict
from medmamba_monai.networks.official_weights import read_classifier

ARCHITECTURE: dict[str, Any] = {
    "spatial_dims": 2,
    "in_channels": 1,
    "num_classes": 3,
    "depths": (1, 2),
    "channels": (8, 16),
    "patch_size": 2,
    "state_size": 4,
}
A_KEY = "layers.1.blocks.0.self_attention.A_logs"


@pytest.fixture
def net() -> MedMamba:
    return MedMamba(**ARCHITECTURE)


@pytest.fixture
def official(net: MedMamba) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in to_official_state_dict(net).items()}


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    weights, expected = one.state_dict(), other.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[key], expected[key]) for key in weights)


@pytest.mark.parametrize("size", ["tiny", "small", "base"])
def test_official_manifest_loads_and_comes_back_in_its_order(reference_dir: Path, size: str) -> None:
    manifest = json.loads((reference_dir / "official_state_dicts.json").read_text())[size]
    state = {key: torch.rand(shape) if shape else torch.tensor(7) for key, shape in manifest["state_dict"].items()}
    net = load_official_checkpoint(state)
    back = to_official_state_dict(net)
    assert sum(parameter.numel() for parameter in net.parameters()) == manifest["parameters"]
    assert list(back) == list(state)
    assert all(torch.equal(back[key], state[key]) for key in state)


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_files(net: MedMamba, official: dict[str, Tensor], tmp_path: Path, name: str) -> None:
    save = safetensors.torch.save_file if name.endswith("safetensors") else torch.save
    save(official, tmp_path / name)
    assert_same_weights(load_official_checkpoint(tmp_path / name), net)
    assert_same_weights(load_official_checkpoint(str(tmp_path / name)), net)


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_training_checkpoint_of_a_wrapped_network(net: MedMamba, official: dict[str, Tensor], wrapper: str) -> None:
    wrapped = {"epoch": 3, wrapper: {f"module.{key}": value for key, value in official.items()}}
    assert_same_weights(load_official_checkpoint(wrapped), net)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "network.", "_orig_mod.module.", "model.net."])
def test_what_wrappers_put_before_each_key_is_taken_away(
    net: MedMamba, official: dict[str, Tensor], prefix: str
) -> None:
    state = {f"{prefix}{key}": value for key, value in official.items()}
    assert_same_weights(load_official_checkpoint(state), net)
    assert_same_weights(read_classifier({f"{prefix}{key}": value for key, value in net.state_dict().items()}), net)


def test_an_averaged_network_is_read(net: MedMamba) -> None:
    assert_same_weights(read_classifier(AveragedModel(net).state_dict()), net)


def test_two_networks_in_one_file_are_refused(net: MedMamba) -> None:
    state = {f"{name}.{key}": value for name in ("teacher", "student") for key, value in net.state_dict().items()}
    with pytest.raises(UserError, match=r"more than one network, with keys after 'student\.', 'teacher\.'"):
        read_classifier(state)


def test_keys_outside_the_prefix_are_named(net: MedMamba) -> None:
    state = {f"network.{key}": value for key, value in net.state_dict().items()} | {"decoder.weight": torch.zeros(1)}
    with pytest.raises(UserError, match=r"extra: decoder\.weight$"):
        read_classifier(state)


def test_weights_without_a_head_are_a_network_without_one(official: dict[str, Tensor]) -> None:
    bare = MedMamba(**{**ARCHITECTURE, "num_classes": 0})
    assert read_architecture(bare.state_dict()) == {**ARCHITECTURE, "num_classes": 0}
    assert_same_weights(read_classifier(bare.state_dict()), bare)
    headless = {key: value for key, value in official.items() if not key.startswith("head.")}
    assert load_official_checkpoint(headless).num_classes == 0
    assert load_official_checkpoint(headless, num_classes=5).head.weight.shape == (5, 16)


def test_network_for_volumes_survives_the_official_keys() -> None:
    net = MedMamba(**{**ARCHITECTURE, "spatial_dims": 3})
    assert_same_weights(load_official_checkpoint(to_official_state_dict(net)), net)


def test_other_number_of_classes_draws_the_head_anew(
    official: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        net = load_official_checkpoint(official, num_classes=9)
    assert net.head.weight.shape == (9, 16)
    assert torch.equal(net.embedding.conv.weight, official["patch_embed.proj.weight"])
    assert "has 3 classes; the head for 9 classes is drawn anew" in caplog.text


def test_same_number_of_classes_keeps_the_head(net: MedMamba, official: dict[str, Tensor]) -> None:
    assert_same_weights(load_official_checkpoint(official, num_classes=3), net)


def test_missing_and_extra_keys_are_named(official: dict[str, Tensor]) -> None:
    official["total_ops"] = official.pop("layers.1.blocks.1.self_attention.Ds")
    message = r"missing: layers\.1\.blocks\.1\.self_attention\.Ds; extra: total_ops$"
    with pytest.raises(UserError, match=message):
        load_official_checkpoint(official)


def test_shapes_that_do_not_fit_are_named(official: dict[str, Tensor]) -> None:
    official[A_KEY] = official[A_KEY][:-1]
    with pytest.raises(UserError, match=f"of another shape: {A_KEY}$"):
        load_official_checkpoint(official)


@pytest.mark.parametrize("key", ["patch_embed.proj.weight", "head.weight", "layers.1.blocks.0.ln_1.weight"])
def test_key_that_tells_the_architecture_is_named(official: dict[str, Tensor], key: str) -> None:
    del official[key]
    with pytest.raises(UserError, match=f"'{key}', but it is missing"):
        load_official_checkpoint(official)


def test_weights_of_another_network_are_refused(net: MedMamba) -> None:
    for other in (nn.Conv2d(1, 8, 3).state_dict(), net.state_dict(), {}):
        with pytest.raises(UserError, match=r"'patch_embed\.proj\.weight', but it is missing"):
            load_official_checkpoint(other)


def test_content_that_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    for content in ({"epoch": 3}, {1: torch.zeros(1)}, [torch.zeros(1)], torch.zeros(1)):
        torch.save(content, tmp_path / "net.pth")
        with pytest.raises(UserError, match=r"net\.pth.*no state dict"):
            load_official_checkpoint(tmp_path / "net.pth")


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint", b"PK\x03\x04" + bytes(200)])
def test_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name}.*cannot be read as tensors"):
        load_official_checkpoint(tmp_path / name)


def test_file_with_code_in_it_is_refused(net: MedMamba, tmp_path: Path) -> None:
    torch.save(net, tmp_path / "net.pth")
    with pytest.raises(UserError, match="cannot be read as tensors"):
        load_official_checkpoint(tmp_path / "net.pth")


def test_truncated_file_is_refused(official: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(official, tmp_path / "net.pth")
    whole = (tmp_path / "net.pth").read_bytes()
    (tmp_path / "net.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cannot be read as tensors"):
        load_official_checkpoint(tmp_path / "net.pth")


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_architecture_is_read_from_the_weights(spatial_dims: int) -> None:
    arguments = {**ARCHITECTURE, "spatial_dims": spatial_dims}
    assert read_architecture(MedMamba(**arguments).state_dict()) == arguments


def test_weights_of_another_network_have_no_architecture(official: dict[str, Tensor]) -> None:
    with pytest.raises(UserError, match=r"'embedding\.conv\.weight', but it is missing; found patch_embed"):
        read_architecture(official)
    with pytest.raises(UserError, match=r"'embedding\.conv\.weight', but its shape is \(3,\)"):
        read_architecture({"embedding.conv.weight": torch.zeros(3)})
