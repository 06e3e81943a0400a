"""Where a picture comes from: its format, compression, resolution, and the camera or program that wrote it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import ExifTags

from medmamba_monai.images.file_errors import BAD_CONTENT
from medmamba_monai.images.origin import Fact, Origin, digest_text

_MAKERS = (ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Software)


def describe_origin(image: Any) -> Origin:
    """Return the facts of a picture that Pillow has opened and loaded; what is damaged among them is left out."""
    facts: dict[str, Fact] = {"format": str(image.format), "mode": str(image.mode)}
    for name, read in _READERS.items():
        try:
            facts[name] = read(image)
        except BAD_CONTENT:
            continue
    if tables := getattr(image, "quantization", None):
        facts["compression strength"] = sum(tables[min(tables)]) / len(tables[min(tables)])
    return facts


def _read_compression(image: Any) -> str:
    known = {name: image.info.get(name) for name in ("compression", "progressive", "interlace", "lossless")}
    return str([*known.values(), [layer[1:3] for layer in getattr(image, "layer", ())]])


def _read_resolution(image: Any) -> tuple[float, ...]:
    across, down = image.info.get("dpi", (0, 0))
    return float(across), float(down)


def _read_maker(image: Any) -> str:
    tags = image.getexif()
    return digest_text([str(tags.get(tag, "")).strip() for tag in _MAKERS])


_READERS: dict[str, Callable[[Any], Fact]] = {
    "compression": _read_compression,
    "resolution": _read_resolution,
    "camera": _read_maker,
}
