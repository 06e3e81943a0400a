"""Items as MONAI's analysis of a dataset wants them, which knows segmentation alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform
from monai.utils import ImageMetaKey

from medmamba_monai.cards.card import load_card
from medmamba_monai.core.errors import UserError
from medmamba_monai.images.read import ReadImage


class ReadForStatistics(Transform):
    """Read an item of a fold list for `monai.fl.client.MonaiAlgoStats` or MONAI's `DataAnalyzer`.

    They want a map of labels beside each image. Here the whole map holds the image's one label, its number from 0.
    Their numbers of images, sizes, intensities and histograms are then right, and which labels occur; what they say of
    a foreground or of each label is for segmentation, and means nothing here. No file is named: an image has its id.

    Args:
        card_file: the bundle's ``configs/card.json``, which says how images are read; opened with the first item.
    """

    def __init__(self, card_file: str | Path) -> None:
        self.card_file = Path(card_file)

    @cached_property
    def _read(self) -> ReadImage:
        return ReadImage(**load_card(self.card_file).reading_arguments())

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return an item with ``image``, float32 (channels, ...) of 0 to 255, and ``label``, int64 (1, ...).

        Raises:
            UserError: the image cannot be read; or there are several labels, of which no map can be made.
        """
        image = torch.as_tensor(self._read(data["image"])).float()
        labels = np.asarray(data["label"])
        if labels.ndim:
            raise UserError("label: statistics are for one label an image; this dataset has several")
        name = {ImageMetaKey.FILENAME_OR_OBJ: Path(data["id"]).name}
        label = torch.full((1, *image.shape[1:]), int(labels))
        return {"id": data["id"], "image": MetaTensor(image, meta=name), "label": MetaTensor(label, meta=name)}
