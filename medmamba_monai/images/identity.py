"""Identities of pixels: a transform's options, the rules of reading, and the versions of decoders."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from monai.transforms import Compose

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.versions import read_versions
from medmamba_monai.images.read import READING_VERSION

Transform = Sequence[Callable[[Any], Any]] | Callable[[Any], Any] | None

_DECODERS = (
    *("pillow", "pydicom", "nibabel", "pynrrd", "tifffile", "torch"),
    *("pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle", "pyjpegls", "python-gdcm"),
)
_VAGUE = re.compile(r" at 0x[0-9a-fA-F]+|\.\.\.")
"""What a text has that is another in the next process, or that leaves values out."""


def identify_transform(transform: Transform) -> str:
    """Return a text that is another wherever a transform could make other pixels, and the same in every process.

    Args:
        transform: deterministic; each part tells all its options by its ``repr``.

    Raises:
        UserError: names a part that does not.
    """
    return "; ".join([*_describe_parts(transform), f"reading {READING_VERSION}", *_list_versions()])


def _describe_parts(transform: Transform) -> Iterator[str]:
    if transform is None:
        return
    if type(transform) is Compose:
        transform = transform.transforms
    if isinstance(transform, (list, tuple)):
        for part in transform:
            yield from _describe_parts(part)
        return
    text = repr(transform)
    if _VAGUE.search(text):
        name = getattr(transform, "__qualname__", type(transform).__qualname__)
        raise UserError(f"{name} does not tell its options: give it a __repr__ with all that decides its result")
    yield text


@cache
def _list_versions() -> tuple[str, ...]:
    return tuple(f"{name} {version}" for name, version in read_versions(_DECODERS).items())
