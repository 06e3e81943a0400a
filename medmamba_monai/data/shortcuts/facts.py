"""Facts of one image that are not medicine: of its file, and of its margin, where few findings are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from medmamba_monai.images.origin import Fact
from medmamba_monai.images.raw_image import ImageFacts

MARGIN = 0.1
"""Part of each axis, at both ends, that is the margin."""

_WHITE = 255

Facts = dict[str, Fact]


def gather_facts(pixels: torch.Tensor, facts: ImageFacts) -> Facts:
    """Return the facts of an image by their names for people.

    Args:
        pixels: (channels, *spatial), 0 to 255, before it is resized.
        facts: what its file says.
    """
    low, high = facts.nominal or (0.0, 0.0)
    found: Facts = {"format": facts.format, **facts.origin}
    found |= {
        "size": tuple(map(float, facts.shape)),
        "aspect": tuple(length / facts.shape[-1] for length in facts.shape[:-1]),
        "bit depth": float(np.log2(high - low + 1)),
        "color": float(facts.channels),
        "number of frames": float(facts.frames),
        "transparency": float(facts.transparent),
        "display": facts.display,
    }
    return found | measure_margin(pixels.numpy())


def drop_origin(facts: ImageFacts) -> ImageFacts:
    """Return the facts without those that nobody needs any more, which take memory for each of a million images."""
    return replace(facts, origin={})


def measure_margin(pixels: np.ndarray) -> Facts:
    """Return what the margin of an image is like.

    Args:
        pixels: (channels, *spatial), 0 to 255.

    Returns:
        ``border intensity``: mean and standard deviation of the outermost pixels, 0 to 255; ``padding``: the part of
        the image, 0 to 1, outside the box of all that differs from its first pixel; ``saturated margin``: the part of
        the margin's pixels, 0 to 1, that are white in all channels, such as burned-in text.
    """
    edge = _take_ends(pixels, lambda length: 1)
    white = (_take_ends(pixels, lambda length: max(1, round(MARGIN * length))) == _WHITE).all(axis=0)
    return {
        "border intensity": (float(edge.mean()), float(edge.std())),
        "padding": _measure_padding(pixels),
        "saturated margin": float(white.mean()),
    }


def _take_ends(pixels: np.ndarray, width: Callable[[int], int]) -> np.ndarray:
    """Return the pixels at both ends of each spatial axis (channels, pixels); those in corners come several times."""
    parts = []
    for axis in range(1, pixels.ndim):
        count = width(pixels.shape[axis])
        moved = np.moveaxis(pixels, axis, 1)
        parts += [end.reshape(len(pixels), -1) for end in (moved[:, :count], moved[:, -count:])]
    return np.concatenate(parts, axis=1)


def _measure_padding(pixels: np.ndarray) -> float:
    first = pixels.reshape(len(pixels), -1)[:, 0].reshape(-1, *[1] * (pixels.ndim - 1))
    differs = (pixels != first).any(axis=0)
    inside = 1.0
    for axis in range(differs.ndim):
        filled = np.flatnonzero(differs.any(axis=tuple(other for other in range(differs.ndim) if other != axis)))
        inside *= (filled[-1] - filled[0] + 1) / differs.shape[axis] if len(filled) else 0
    return 1 - float(inside)
