"""Mosaics of images, each with what it shows and what it was taken for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.style import BLUE, INK, VERMILLION, fit, format_fraction, wrap, write_title
from medmamba_monai.evaluation.figures.tiles import (
    BETWEEN,
    CAPTION_SIZE,
    TILE_INCHES,
    place_tiles,
    shorten_start,
    write_caption,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Caption = tuple[str, str, float, str]
"""Name of the true class, name of the predicted class, probability of the latter, identifier of the image."""

MOST_IMAGES = 24

_NOTE = "✓ right, ✗ wrong: probability and predicted class"
_RIGHT: dict[str, Any] = {"color": BLUE, "linewidth": 1}
_WRONG: dict[str, Any] = {"color": VERMILLION, "linewidth": 3.5}


def draw_mosaic(
    images: Sequence[NDArray[np.uint8]], captions: Sequence[Caption], title: str, columns: int = 4
) -> Figure:
    """Draw images in rows, each with its true and its predicted class below.

    An image that was taken for something else has a ✗ and a thick frame, any other a ✓ and a thin one.

    Args:
        images: 1 to `MOST_IMAGES`, each (H, W) or (H, W, 3) of dtype uint8; of a volume, its middle slice.
        captions: one for each image: true name, predicted name, probability of the prediction, identifier.
        title: what is shown.
        columns: images in a row.

    Raises:
        UserError: there are no or too many images, one is no such array, or their number is not that of the captions.
    """
    from matplotlib.figure import Figure

    _check(images, captions, columns)
    columns = min(columns, len(images))
    texts = [_caption(*caption) for caption in captions]
    boxes = place_tiles([text.count("\n") + 1 for text in texts], columns)
    figure = Figure()
    tiles = {figure.add_axes((0, 0, 1, 1), label=str(index)): box for index, box in enumerate(boxes)}
    for axes, image, (true, predicted, _, _), text in zip(tiles, images, captions, texts, strict=True):
        _draw_tile(axes, image, true == predicted, text)
    width, height = columns * (TILE_INCHES + BETWEEN) - BETWEEN, boxes[0][1] + TILE_INCHES
    whole = figure.add_axes((0, 0, 1, 1), label="whole", frameon=False, xticks=[], yticks=[])
    write_title(whole, title, width, pad=10)
    whole.set_xlabel(_NOTE, fontsize=CAPTION_SIZE, color=INK)
    fit(figure, {whole: (0, 0, width, height), **tiles})
    return figure


def _check(images: Sequence[NDArray[np.uint8]], captions: Sequence[Caption], columns: int) -> None:
    if not 1 <= len(images) <= MOST_IMAGES:
        raise UserError(f"there are {len(images)} images: give 1 to {MOST_IMAGES}")
    if len(captions) != len(images) or columns < 1:
        raise UserError(
            f"there are {len(images)} images, {len(captions)} captions and {columns} columns: they do not fit"
        )
    for index, image in enumerate(images):
        if image.dtype != np.uint8 or not image.size or not (image.ndim == 2 or image.shape[2:] == (3,)):
            raise UserError(f"image {index} is {image.shape} of {image.dtype}: give (H, W) or (H, W, 3) of uint8")


def _caption(true: str, predicted: str, probability: float, identifier: str) -> str:
    mark = "✓" if true == predicted else "✗"
    names = (f"{mark} {format_fraction(probability)} {predicted}", f"true: {true}")
    return "\n".join([*(wrap(name, TILE_INCHES, size=CAPTION_SIZE) for name in names), shorten_start(identifier)])


def _draw_tile(axes: Axes, image: NDArray[np.uint8], right: bool, text: str) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set(xticks=[], yticks=[], anchor="SW")
    axes.spines[:].set(**(_RIGHT if right else _WRONG))
    write_caption(axes, text)
