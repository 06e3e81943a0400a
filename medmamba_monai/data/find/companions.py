"""Files that look like masks, outlines or thumbnails of other images of the same folder, by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from medmamba_monai.core.documents import text_to_path
from medmamba_monai.data.find.image_index import strip_image_suffix

_KINDS = (
    *("mask", "masks", "seg", "segm", "segmentation", "segmentations", "gt", "groundtruth", "ground truth"),
    *("roi", "rois", "contour", "contours", "outline", "outlines", "annotation", "annotations", "annotated"),
    *("label", "labels", "overlay", "overlays", "heatmap", "heatmaps", "thumb", "thumbs", "thumbnail", "thumbnails"),
)
_IMAGES = ("image", "images", "img", "imgs")
_WORDS = re.compile(r"[\W_]+")
_WORD = re.compile(rf"^({'|'.join(_KINDS)}) | ({'|'.join(_KINDS)})( \d+)?$")


def find_companions(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Find images whose names say that they belong to another image: ``x_mask.png`` to ``x.png``.

    Seen are words at the end or the beginning of a file's name, and folders such as ``masks`` beside ``images``.

    Args:
        texts: the images of a dataset, in the written form.

    Returns:
        Each such image with the one that it belongs to, sorted.
    """
    companions: dict[str, list[str]] = defaultdict(list)
    images: dict[str, str] = {}
    for text in sorted(texts):
        key, is_companion = _describe(text)
        if is_companion:
            companions[key].append(text)
        else:
            images.setdefault(key, text)
    return sorted((text, images[key]) for key, found in companions.items() if key in images for text in found)


def _describe(text: str) -> tuple[str, bool]:
    """Return what an image and its companions have in common, and whether this is one of these."""
    *folders, name = PurePosixPath(text_to_path(text)).parts
    stem = _split_words(strip_image_suffix(name))
    bare = _WORD.sub("", stem)
    words = [_split_words(folder) for folder in folders]
    kept = [folder for folder in words if folder not in (*_KINDS, *_IMAGES)]
    return "/".join([*kept, bare]), bare != stem or any(folder in _KINDS for folder in words)


def _split_words(name: str) -> str:
    return _WORDS.sub(" ", name).strip().casefold()
