from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks import build_network
from medmamba_monai.networks.head_features import compute_with_features, find_head

SMALL = {"depths": (1, 1), "channels": (8, 16)}


@pytest.mark.parametrize(
    ("name", "dims", "size", "features", "options"),
    [
        ("medmamba", 2, 32, 16, SMALL),
        ("medmamba", 3, 16, 16, SMALL),
        ("resnet18", 2, 32, 512, {}),
        ("densenet121", 2, 32, 1024, {}),
        ("vit_b16", 2, 32, 768, {}),
    ],
)
@torch.inference_mode()
def test_features_give_the_logits_which_do_not_change(name, dims, size, features, options):
    torch.manual_seed(0)
    network = build_network(name, dims, 1, 3, image_size=size, **options).eval()
    images = torch.rand(2, 1, *[size] * dims)
    head = find_head(network, 3)
    logits, found = compute_with_features(network, head, images)
    assert found.shape == (2, features)
    assert torch.equal(logits, network(images))
    torch.testing.assert_close(torch.nn.functional.linear(found, head.weight, head.bias), logits)
    assert not head._forward_pre_hooks


def test_threads_take_their_own_features():
    torch.manual_seed(0)
    network = build_network("medmamba", 2, 1, 3, image_size=32, **SMALL).eval().requires_grad_(False)
    head, images = find_head(network, 3), torch.rand(8, 1, 1, 32, 32)
    expected = [compute_with_features(network, head, image)[1] for image in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: compute_with_features(network, head, image)[1], images))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_network_without_a_head_is_named():
    with pytest.raises(UserError, match="Conv2d: has no linear layer with 3 outputs"):
        find_head(torch.nn.Conv2d(1, 3, 1), 3)
