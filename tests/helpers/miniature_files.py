"""What miniatures are made of: pictures that differ, and archives that are the same whenever they are written."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

_NEW_YEAR = (2024, 1, 1, 0, 0, 0)


def pixels(key: str, shape: tuple[int, ...], channels: int = 1, seed: int = 0) -> np.ndarray:
    """A picture or volume that belongs to a key: coarse random blocks under noise; uint8 of (*shape) or (*shape, 3)."""
    generator = np.random.default_rng([seed, zlib.crc32(key.encode())])
    coarse = generator.integers(0, 224, (*(4 for _ in shape), channels))
    for axis, size in enumerate(shape):
        coarse = np.repeat(coarse, -(-size // 4), axis=axis)
    picture = coarse[tuple(slice(size) for size in shape)] + generator.integers(0, 32, (*shape, channels))
    return (picture if channels > 1 else picture[..., 0]).astype(np.uint8)


def draw(path: Path, mode: str = "RGB", size: tuple[int, int] = (24, 20), seed: int = 0) -> None:
    """Write the picture of a file name.

    Args:
        path: PNG or JPEG by its suffix; folders are made.
        mode: ``L``, ``RGB``, ``gray RGB`` (three equal channels), ``RGBA`` (opaque) or ``clear RGBA`` (partly clear).
        size: columns and rows.
        seed: of the content, together with the file name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    gray = mode in ("L", "gray RGB")
    picture = pixels(path.stem, size[::-1], 1 if gray else 3, seed)
    if mode == "gray RGB":
        picture = np.stack([picture] * 3, axis=-1)
    if mode.endswith("RGBA"):
        alpha = np.full((*picture.shape[:2], 1), 255, np.uint8)
        alpha[:4] = 0 if mode.startswith("clear") else 255
        picture = np.concatenate([picture, alpha], axis=-1)
    Image.fromarray(picture).save(path, quality=90)  # PNG has no quality


def pack(archive: Path, root: Path, members: Iterable[Path], remove: bool = True) -> Path:
    """Write files, with their paths below a root, into a zip file; they are removed after, with folders left empty."""
    files = sorted(file for member in members for file in ([member] if member.is_file() else member.rglob("*")))
    files = [file for file in files if file.is_file() and file != archive]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in files:
            info = zipfile.ZipInfo(file.relative_to(root).as_posix(), _NEW_YEAR)
            info.external_attr = 0o644 << 16
            opened.writestr(info, file.read_bytes(), zipfile.ZIP_DEFLATED)
    for file in files if remove else ():
        file.unlink()
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        if remove and not any(folder.iterdir()):
            folder.rmdir()
    return archive


def litter(folder: Path) -> None:
    """What file browsers leave behind, among the images and beside them."""
    for name in (".DS_Store", "Thumbs.db", "._0001.png", "__MACOSX/._0001.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0\1\2")
