"""The views of test-time augmentation: small changes under which an image stays one of its class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monai.transforms import Flip, Identity, Rotate, Zoom

from medmamba_monai.cards import DatasetCard

_SMALL_ANGLE = 0.087
"""Of a view, in radians: 5 degrees."""


def make_views(card: DatasetCard) -> list[Callable[..., Any]]:
    """Return transforms of an image ``(C, *spatial)`` that keep its size; the first changes nothing.

    Mirrored as the card allows, turned a little in the plane of the image (of a volume in that of its slices), and
    enlarged a little.

    Args:
        card: of the dataset.
    """
    flat = card.spatial_dims == 2
    return [
        Identity(),
        *(Flip(spatial_axis=axis) for axis in card.mirrored_axes),
        *(
            Rotate(angle=angle if flat else [angle, 0, 0], mode="bilinear", padding_mode="border")
            for angle in (_SMALL_ANGLE, -_SMALL_ANGLE)
        ),
        Zoom(zoom=1.1, mode="bilinear" if flat else "trilinear"),
    ]
