from __future__ import annotations

import json

import pytest
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks.transformers_encoder import load_encoder

transformers = pytest.importorskip("transformers")

VIT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "patch_size": 8}


@pytest.fixture
def folder(tmp_path):
    """A tiny encoder with random weights, and what its preprocessor would say."""
    transformers.ViTModel(transformers.ViTConfig(image_size=16, **VIT)).save_pretrained(tmp_path)
    processor = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "image_processor_type": "ViTImageProcessor"}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    return tmp_path


def test_an_encoder_from_a_folder_gives_the_mean_of_its_last_state(folder):
    encoder, model = load_encoder(str(folder)), transformers.ViTModel.from_pretrained(folder).eval()
    images = torch.rand(2, 1, 16, 16) * 2 - 1
    with torch.inference_mode():
        expected = model(pixel_values=images.expand(-1, 3, -1, -1)).last_hidden_state.mean(1)
        torch.testing.assert_close(encoder(images), expected)
        assert encoder(torch.rand(2, 3, 20, 24)).shape == (2, 16)


def test_an_encoder_of_places_is_averaged_over_them(tmp_path):
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic")
    transformers.ResNetModel(config).save_pretrained(tmp_path)
    with torch.inference_mode():
        assert load_encoder(str(tmp_path))(torch.rand(2, 1, 32, 32)).shape == (2, 12)


def test_the_identity_is_that_of_the_weights_wherever_they_are(folder):
    identity = load_encoder(str(folder)).identity
    assert identity == load_encoder(str(folder.rename(folder.with_name("moved")))).identity
    assert identity.startswith("ViTModel sha256:")
    assert "moved" not in identity


@pytest.mark.parametrize("name", ["nowhere", "nobody/nothing"])
def test_what_is_neither_a_folder_nor_to_be_had_is_said(tmp_path, monkeypatch, name):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # nothing is asked of the hub by a test
    with pytest.raises(UserError, match=f"--encoder {name}: .*without a connection, give a folder"):
        load_encoder(name)


@pytest.mark.parametrize(
    ("shape", "said"), [((1, 1, 8, 8, 8), "volumes"), ((1, 4, 8, 8), r"of the shape \(1, 4, 8, 8\)")]
)
def test_volumes_and_other_channels_are_refused(folder, shape, said):
    with pytest.raises(UserError, match=f"images of 1 or 3 channels, and these are {said}"):
        load_encoder(str(folder))(torch.zeros(shape))
