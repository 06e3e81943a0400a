"""Images without labels that weights have seen, by digests of their pixels, and whether a fold is judged by any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.parallel import map_images
from medmamba_monai.data import FoldList
from medmamba_monai.images import ReadImage
from medmamba_monai.images.pixel_digest import compute_pixel_digest, is_blank

SEEN = "seen"
"""Name in the header of weights, and of what they started from: the images without labels."""
_DIGITS = 16


@dataclass(frozen=True)
class SeenImages:
    """Images of a folder.

    Attributes:
        pixels: a digest of each, but of blank ones.
        apart_from: digest of the images of a dataset of which none is among them.
    """

    pixels: tuple[str, ...]
    apart_from: str

    def describe(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return {**asdict(self), "pixels": list(self.pixels)}


def read_seen(description: Mapping[str, Any], before: Mapping[str, Any]) -> tuple[SeenImages, ...]:
    """Return the images without labels that weights have seen.

    Args:
        description: what stands in the header of the weights.
        before: what it says of the weights that these started from.

    Raises:
        UserError: it is not what a pretraining writes there.
    """
    try:
        entries = (*description.get(SEEN, ()), *before.get(SEEN, ()))
        return tuple(SeenImages(tuple(map(str, entry["pixels"])), str(entry["apart_from"])) for entry in entries)
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"its header does not say which images it has seen as this version writes it ({error!r})"
        ) from error


def check_seen(path: Path, seen: Iterable[SeenImages], fold_list: FoldList, fold: int) -> None:
    """Refuse weights that have seen images, though without labels, on which a fold selects or reports.

    Where they were compared with this dataset when they were made, nothing is read again.

    Args:
        path: of the weights, for messages.
        seen: what they have seen.
        fold_list: of the training that is to begin.
        fold: its fold.

    Raises:
        UserError: they have seen such an image, or one cannot be read.
    """
    pixels = {digest for one in seen if one.apart_from != fold_list.images_digest for digest in one.pixels}
    if not pixels:
        return
    parts = fold_list.parts(fold)
    judged = [*parts["validation"], *parts["test"]]
    digests = compute_digests([item["image"] for item in judged], fold_list.reading)
    known = [item["id"] for item, digest in zip(judged, digests, strict=True) if digest in pixels]
    if known:
        raise UserError(
            f"--pretrained {path}: has seen {len(known)} of the {len(judged)} images that fold {fold} is validated or "
            f"tested on, such as {known[0]}, without their labels: its scores would be too good. Pretrain again with "
            "this bundle, which leaves them out"
        )


def compute_digests(paths: Sequence[str], reading: Mapping[str, Any]) -> list[str | None]:
    """Read images and return a digest of the pixels of each; None of blank ones.

    Args:
        paths: of the images.
        reading: how a bundle reads them.

    Raises:
        UserError: an image cannot be read.
    """
    read = ReadImage(**reading)

    def digest(path: str) -> str | None:
        pixels = read(path)
        return None if is_blank(pixels) else compute_pixel_digest(pixels).hex()[:_DIGITS]

    return map_images(digest, paths, "compare")
