from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks import MedViT, load_official_medvit
from medmamba_monai.networks.medvit import SIZES
from medmamba_monai.networks.medvit.blocks import EfficientConvolutionBlock, LocalTransformerBlock
from medmamba_monai.networks.medvit.parts import EfficientAttention

SMALL = (1, 2, 5, 2)


@pytest.fixture(scope="module")
def small() -> MedViT:
    torch.manual_seed(0)
    return MedViT(1, 3, depths=SMALL).eval()


@pytest.fixture
def checkpoint() -> dict[str, Tensor]:
    """Keys and shapes of the official MedViT-T, without numbers."""
    with torch.device("meta"):
        return MedViT(3, 1000).state_dict()


def load(source: dict[str, Any], **options: Any) -> MedViT:
    with torch.device("meta"):
        return load_official_medvit(source, **options)


def test_images_become_logits(small: MedViT) -> None:
    logits = small(MetaTensor(torch.zeros(2, 1, 32, 25)))
    assert (type(logits), logits.shape) == (Tensor, (2, 3))


def test_blocks_of_attention_stand_at_the_end_of_each_group() -> None:
    with torch.device("meta"):
        features = MedViT().features
    attention = [index for index, block in enumerate(features) if isinstance(block, LocalTransformerBlock)]
    assert (attention, len(features)) == ([6, 11, 16, 19], 20)


def test_drop_path_grows_from_nothing_to_the_rate() -> None:
    with torch.device("meta"):
        features = MedViT(drop_path_rate=0.4).features
    first, last = features[0], features[-1]
    assert isinstance(first, EfficientConvolutionBlock)
    assert isinstance(last, LocalTransformerBlock)
    rates = [last.attention_drop_path.drop_prob, last.convolution_drop_path.drop_prob]
    assert first.drop_path.drop_prob == 0
    assert rates == pytest.approx([0.3, 0.1])


def test_tokens_are_averaged_along_the_sequence_and_a_remainder_is_dropped() -> None:
    attention = EfficientAttention(32, reduction=2).eval()
    tokens = torch.randn(1, 11, 32)
    sources = attention.sr(tokens.transpose(1, 2))
    torch.testing.assert_close(sources, tokens[:, :8].unflatten(1, (2, 4)).mean(2).transpose(1, 2))


def test_initial_weights(small: MedViT) -> None:
    for module in small.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            assert module.weight.abs().max() < 0.2
            assert module.bias is None or not module.bias.any()
    assert float(small.features[3].conv.conv[0].weight.detach().std()) == pytest.approx(0.02, rel=0.05)


def test_a_traced_network_gives_the_logits(small: MedViT) -> None:
    image = torch.randn(1, 1, 32, 25)
    with torch.inference_mode():
        traced = torch.jit.trace(small, torch.zeros(1, 1, 32, 25), check_trace=False)
        torch.testing.assert_close(traced(image), small(image))


@pytest.mark.parametrize("depths", [(3, 4, 10), (3, 4, 7, 3), (0, 4, 10, 3), (3, 1, 10, 3), (3, 4, 10, 1)])
def test_other_depths_are_refused(depths: Any) -> None:
    with pytest.raises(UserError, match=r"MedViT: depths="):
        MedViT(depths=depths)


def test_a_rate_that_is_no_probability_is_refused() -> None:
    with pytest.raises(UserError, match=r"drop_path_rate=1\.0, but it must be in \[0, 1\)"):
        MedViT(drop_path_rate=1.0)


@pytest.mark.parametrize("size", SIZES)
def test_the_size_of_a_checkpoint_is_read_from_its_keys(size: str) -> None:
    with torch.device("meta"):
        expected = MedViT(1, 5, **SIZES[size]._asdict()).state_dict()
    found = load({"model": {f"module.{key}": value for key, value in expected.items()}})
    assert {key: value.shape for key, value in found.state_dict().items()} == {k: v.shape for k, v in expected.items()}
    assert (found.in_channels, found.num_classes) == (1, 5)


def test_weights_arrive_and_a_head_of_other_classes_is_drawn_anew(
    checkpoint: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    state = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in checkpoint.items()}
    with caplog.at_level(logging.INFO):
        network = load_official_medvit(state, num_classes=2)
    assert not any(parameter.any() for parameter in network.features.parameters())
    assert (network.proj_head[0].weight.shape, bool(network.proj_head[0].weight.any())) == ((2, 1024), True)
    assert caplog.messages == ["The checkpoint has 1000 classes; the head for 2 is drawn anew."]


@pytest.mark.parametrize("missing", ["stem.0.conv.weight", "proj_head.0.weight", "norm.bias"])
def test_a_missing_key_is_named(checkpoint: dict[str, Tensor], missing: str) -> None:
    del checkpoint[missing]
    with pytest.raises(UserError, match=r"official MedViT checkpoint \(state dict\): (it has 20|missing: norm\.bias)"):
        load(checkpoint)


def test_another_network_is_refused() -> None:
    with pytest.raises(UserError, match="it has 0 blocks 'features"):
        load_official_medvit({"conv.weight": torch.zeros(1)})
