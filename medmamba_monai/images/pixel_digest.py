"""Digests by which images with exactly the same pixels are found."""

from __future__ import annotations

import hashlib

import torch


def compute_pixel_digest(pixels: torch.Tensor) -> bytes:
    """Return 16 bytes that are the same for images of the same size and pixels alone.

    Args:
        pixels: uint8 or float32 tensor (C, *spatial) on the CPU, as `ReadImage` gives it.
    """
    return hashlib.blake2b(describe_size(pixels).encode() + pixels.numpy().tobytes(), digest_size=16).digest()


def describe_size(pixels: torch.Tensor) -> str:
    """Return the spatial size of an image (C, *spatial), such as ``28 x 28``."""
    return " x ".join(str(length) for length in pixels.shape[1:])


def is_blank(pixels: torch.Tensor) -> bool:
    """Return whether an image has one value everywhere, so that it is everybody's and nobody's."""
    return bool((pixels == pixels.flatten()[0]).all())
