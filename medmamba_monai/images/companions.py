"""Files that belong to another: the values of an image whose header stands alone."""

from __future__ import annotations

from pathlib import Path

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.meta_image import META_IMAGE_SUFFIXES, read_meta_header
from medmamba_monai.images.nrrd import NRRD_SUFFIXES, read_nrrd_header

_PAIR_HEADERS = (".hdr", ".hdr.gz")


def list_companions(path: Path) -> tuple[Path, ...]:
    """Return the files beside an image's own that hold its values; none where it holds them, or is damaged.

    Args:
        path: a header: .hdr with its .img, .mhd, .nhdr, or the like.
    """
    suffix = path.suffix.lower()
    if path.name.lower().endswith(_PAIR_HEADERS):
        base = path.name[: path.name.lower().rindex(".hdr")]
        found = (path.with_name(base + end) for end in (".img", ".IMG", ".img.gz"))
        return tuple(file for file in found if file.is_file())[:1]
    readers = dict.fromkeys(META_IMAGE_SUFFIXES, read_meta_header) | dict.fromkeys(NRRD_SUFFIXES, read_nrrd_header)
    if suffix not in readers:
        return ()
    try:
        named = readers[suffix](path).data.path
    except UserError:  # reading the image says what is wrong
        return ()
    return (named,) if named != path and named.is_file() else ()
