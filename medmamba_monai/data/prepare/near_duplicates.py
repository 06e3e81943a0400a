"""Pictures that look nearly the same: scaled, recompressed or slightly cropped copies."""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate

BITS = 16 * 16
"""Length of a fingerprint: for each cell of a 16 x 16 grid, whether the picture gets brighter to the right."""

MAX_DIFFERENT_BITS = 16
"""Pictures with up to this many different bits are reported; unrelated ones differ in about half of them."""

MAX_PAIRS = 1_000_000
"""Where more are found, most pictures are of one kind, and longer lists say no more."""

_BLOCK = 4096


def compute_fingerprint(pixels: torch.Tensor) -> torch.Tensor:
    """Return the fingerprint of a picture: a difference hash.

    Args:
        pixels: (channels, rows, columns) or (channels, *volume), of which the middle slice is taken; any scale.

    Returns:
        int8 tensor of `BITS` values, 1 or -1.
    """
    image = pixels.float().mean(dim=0)
    while image.ndim > 2:
        image = image[..., image.shape[-1] // 2]
    small = interpolate(image[None, None], size=(16, 17), mode="area")[0, 0]
    return torch.where(small[:, 1:] > small[:, :-1], 1, -1).to(torch.int8).reshape(-1)


def find_near_duplicates(prints: torch.Tensor, skip: torch.Tensor | None = None) -> list[tuple[int, int]]:
    """Return the pairs of pictures whose fingerprints hardly differ.

    Every pair is compared, in blocks of a matrix product: 100,000 pictures take a minute or two.

    Args:
        prints: (pictures, `BITS`), from `compute_fingerprint`.
        skip: (pictures,) true for pictures that are compared with none, such as blank ones.

    Returns:
        Pairs of positions, the smaller one first, sorted; not more than `MAX_PAIRS`.
    """
    values = prints.float()
    if skip is not None:
        values[skip] = 0
    pairs = []
    for start in range(0, len(values), _BLOCK):
        rows = values[start : start + _BLOCK]
        for other in range(start, len(values), _BLOCK):
            agreement = rows @ values[other : other + _BLOCK].T
            hits = torch.nonzero(agreement >= BITS - 2 * MAX_DIFFERENT_BITS) + torch.tensor([start, other])
            pairs += [(a, b) for a, b in hits.tolist() if a < b]
        if len(pairs) >= MAX_PAIRS:
            break
    return sorted(pairs[:MAX_PAIRS])
