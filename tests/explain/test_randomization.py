"""Shuffled weights, and how alike two maps are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from medmamba_monai.explain.randomization import compare_ranks, compare_structure, randomize
from medmamba_monai.networks import MedMamba


def tiny() -> MedMamba:
    torch.manual_seed(0)
    return MedMamba(2, 1, 3, depths=(1, 1), channels=(8, 16)).eval()


@pytest.mark.parametrize(("share", "changed"), [(0.0, 2), (0.5, 0.5), (1.0, 1.0)])
def test_weights_are_shuffled_from_the_head_down(share: float, changed: float) -> None:
    network = tiny()
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))
    kept = [parameter.clone() for parameter in network.parameters()]
    found = list(randomize(network, share).parameters())
    count = int(changed if changed > 1 else round(changed * len(kept)))
    for place, (before, after) in enumerate(zip(kept, found, strict=True)):
        is_last = place >= len(kept) - count
        assert (
            not is_last or before.numel() < 8 or not torch.equal(before, after)
        )  # few values may fall back into place
        assert is_last or torch.equal(before, after)
    assert all(torch.equal(*pair) for pair in zip(kept, network.parameters(), strict=True))
    for before, after in zip(kept, found, strict=True):
        assert torch.equal(before.flatten().sort().values, after.flatten().sort().values)


def test_ranks_are_compared_without_signs() -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 6, 6))
    assert compare_ranks(one, -one) == pytest.approx(1)
    assert compare_ranks(one, other) == pytest.approx(stats.spearmanr(abs(one).ravel(), abs(other).ravel())[0])
    assert compare_ranks(one, np.zeros((6, 6))) == 0


@pytest.mark.parametrize("shape", [(24, 24), (6, 8), (7, 6, 6)])
def test_structure_is_1_of_equal_maps_and_lower_of_others(shape: tuple[int, ...]) -> None:
    one, other = np.random.default_rng(0).normal(size=(2, *shape))
    assert compare_structure(one, -3 * one) == pytest.approx(1, abs=1e-5)
    assert compare_structure(one, other) < 0.7
