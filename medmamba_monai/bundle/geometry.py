"""How images of a dataset may be turned and mirrored, in training (at random) and in test-time augmentation."""

from __future__ import annotations

from typing import Any

from medmamba_monai.cards import DatasetCard

_SMALL_ANGLE = 0.087
"""Of a view, in radians: 5 degrees."""


def geometry_values(card: DatasetCard) -> dict[str, Any]:
    """What the placeholders of recipes and views stand for: lists of MONAI transforms as configs name them."""
    axes = mirrored_axes(card)
    turns = [{"_target_": "RandRotate90d", "keys": "image", "prob": 0.5, "max_k": 3}]
    return {
        "rotation_angles": 1 if card.spatial_dims == 2 else 3,
        "random_flips": [
            {"_target_": "RandFlipd", "keys": "image", "prob": 0.5, "spatial_axis": axis} for axis in axes
        ],
        "random_turns": turns if len(axes) == card.spatial_dims == 2 else [],
        "views": [
            {"_target_": "monai.transforms.Identity"},
            *({"_target_": "monai.transforms.Flip", "spatial_axis": axis} for axis in axes),
            *(_rotated(card, angle) for angle in (_SMALL_ANGLE, -_SMALL_ANGLE)),
            {
                "_target_": "monai.transforms.Zoom",
                "zoom": 1.1,
                "mode": "bilinear" if card.spatial_dims == 2 else "trilinear",
            },
        ],
    }


def mirrored_axes(card: DatasetCard) -> list[int]:
    """The spatial axes along which the card says that images may be mirrored; left and right are the last."""
    axes = list(range(card.spatial_dims))
    return {"none": [], "horizontal": axes[-1:], "all": axes}[card.flips]


def _rotated(card: DatasetCard, angle: float) -> dict[str, Any]:
    """A rotation in the plane of the image, of a volume in that of its slices."""
    return {
        "_target_": "monai.transforms.Rotate",
        "angle": angle if card.spatial_dims == 2 else [angle, 0, 0],
        "mode": "bilinear",
        "padding_mode": "border",
    }
