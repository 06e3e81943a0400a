"""The images that a pretraining may see: the training part of a fold, or a folder without what a fold is judged by."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.data import FoldList, list_images
from medmamba_monai.training.pretrained.seen import SeenImages, compute_digests

FEWEST = 10
"""Fewest images, or patients where these are known, of which a tenth can be kept out."""

Item = dict[str, Any]
logger = logging.getLogger("medmamba_monai.training")


@dataclass(frozen=True)
class UnlabelledImages:
    """Images without their labels, in two parts that share no patient.

    Attributes:
        train: items that are learnt from: ``id``, ``image``, ``row``, and ``group`` where groups are known.
        validation: a tenth, by which the best epoch is chosen.
        identity: digest of which images the rows are, for stores of decoded ones.
        num_rows: number of rows.
        seen: what they are, where they are a folder's; None for the training part of a fold.
    """

    train: list[Item]
    validation: list[Item]
    identity: str
    num_rows: int
    seen: SeenImages | None = None

    def format(self, method: str) -> str:
        """Return in words what is learnt from how many images."""
        return f"{method}, {len(self.train)} images of {'the training part' if self.seen is None else 'a folder'}"

    def describe(self, fold_list: FoldList, fold: int, method: str) -> dict[str, Any]:
        """Return what the header of the weights says of where they come from.

        Args:
            fold_list: of the bundle.
            fold: the fold whose training part was seen, if it was.
            method: what was learnt.
        """
        learnt: dict[str, Any] = {"method": method, "images": len(self.train) + len(self.validation)}
        if self.seen is not None:
            return {"self_supervised": learnt, "seen": [self.seen.describe()]}
        return {
            "dataset": fold_list.name,
            "fold": fold,
            "fold_digest": fold_list.digest,
            "self_supervised": learnt,
        }


def find_unlabelled(
    fold_list: FoldList,
    fold: int,
    folder: str | Path | None,
    reading: Mapping[str, Any],
    spatial_dims: int,
    every_frame: bool,
) -> UnlabelledImages:
    """Find the images of a pretraining.

    Of a folder, images with the pixels of any image of the bundle are left out: each of these is in the validation or
    the test part of some fold.

    Args:
        fold_list: of the bundle.
        fold: whose training part it is where no folder is given.
        folder: of images without labels; None for none.
        reading: how the bundle reads images.
        spatial_dims: 3: a folder of DICOM slices is one volume.
        every_frame: whether each frame of a file with several is an image.

    Raises:
        UserError: there is no such folder or fold, too few images remain, or one cannot be read.
    """
    if folder is None:
        items = [
            {name: value for name, value in item.items() if name != "label"} for item in fold_list.parts(fold)["train"]
        ]
        where = f"the training part of fold {fold}"
        return UnlabelledImages(*_hold_out(items, where), fold_list.images_digest, fold_list.num_images)
    items, seen = _list_folder(Path(folder), fold_list, reading, spatial_dims, every_frame)
    parts = _hold_out(items, f"--images_dir {folder}")
    identity = hashlib.sha256(",".join(seen.pixels).encode()).hexdigest()
    return UnlabelledImages(*parts, identity, len(items), seen)


def _list_folder(
    folder: Path, fold_list: FoldList, reading: Mapping[str, Any], spatial_dims: int, every_frame: bool
) -> tuple[list[Item], SeenImages]:
    found = list_images(folder, spatial_dims, every_frame, option="images_dir")
    digests = compute_digests([item["image"] for item in found], reading)
    parts = fold_list.parts(0).values()
    judged = set(compute_digests([item["image"] for part in parts for item in part], reading)) - {None}
    kept = [(item, digest) for item, digest in zip(found, digests, strict=True) if digest not in judged]
    if left_out := len(found) - len(kept):
        which = "the bundle's own, pixel by pixel, and are left out"
        logger.info(f"{format_path(folder)}: {left_out} of {len(found)} images are {which}")
    items = [{"id": item["id"], "image": item["image"], "row": row} for row, (item, _) in enumerate(kept)]
    return items, SeenImages(tuple(digest for _, digest in kept if digest), fold_list.images_digest)


def _hold_out(items: Sequence[Item], where: str) -> tuple[list[Item], list[Item]]:
    """Part a tenth of the images from the others, whole groups, by digests of their names."""
    units = sorted({_name_unit(item) for item in items}, key=lambda name: hashlib.sha256(name.encode()).digest())
    if len(units) < FEWEST:
        raise UserError(
            f"{where}: holds {len(units)} images or patients without those that a fold is judged by; a pretraining "
            f"needs {FEWEST} or more"
        )
    held = set(units[: len(units) // FEWEST])
    return (
        [item for item in items if _name_unit(item) not in held],
        [item for item in items if _name_unit(item) in held],
    )


def _name_unit(item: Item) -> str:
    return str(item.get("group", item["id"]))
