from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import interpolate

from medmamba_monai.data.phantom import draw_phantom
from medmamba_monai.data.prepare.near_duplicates import BITS, compute_fingerprint, find_near_duplicates


def pictures(count: int) -> list[torch.Tensor]:
    generator = np.random.default_rng(0)
    return [torch.from_numpy(draw_phantom(0, 64, generator))[None] for _ in range(count)]


def test_a_scaled_and_noisy_copy_is_found_among_others() -> None:
    found = pictures(12)
    copy = interpolate(found[3][None].float(), size=(50, 57), mode="bilinear", antialias=True)[0]
    found.append(copy + torch.randn(copy.shape, generator=torch.Generator().manual_seed(0)))
    assert find_near_duplicates(torch.stack([compute_fingerprint(picture) for picture in found])) == [(3, 12)]


def test_a_fingerprint_does_not_change_with_brightness_and_contrast() -> None:
    picture = pictures(1)[0].float()
    assert torch.equal(compute_fingerprint(picture), compute_fingerprint(0.5 * picture + 20))
    assert compute_fingerprint(picture).shape == (BITS,)


def test_of_a_volume_the_middle_slice_counts() -> None:
    picture = pictures(1)[0]
    volume = torch.stack([torch.zeros_like(picture), picture, torch.zeros_like(picture)], dim=-1)
    assert torch.equal(compute_fingerprint(volume), compute_fingerprint(picture))


def test_pairs_across_blocks_are_found(monkeypatch) -> None:
    monkeypatch.setattr("medmamba_monai.data.prepare.near_duplicates._BLOCK", 2)
    prints = torch.stack([compute_fingerprint(picture) for picture in pictures(5)])
    assert find_near_duplicates(torch.cat([prints, prints[:1]])) == [(0, 5)]
