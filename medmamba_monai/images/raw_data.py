"""Values that stand behind or beside a text header, as in NRRD and MetaImage: bounded before they are unpacked.

The readers of these formats inflate without a bound, and follow a header to any file.
"""

from __future__ import annotations

import bz2
import math
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.images.file_errors import check_regular_file
from medmamba_monai.images.raw_image import Limits

Packing = Literal["raw", "zlib", "bzip2", "text"]
"""How values are packed; zlib stands for gzip, too."""

_AT_END = -1


@dataclass(frozen=True)
class RawData:
    """Where values are, and what they are.

    Attributes:
        path: the file that holds them.
        start: byte where they begin; -1 for as many as there are at its end.
        shape: lengths of the axes, that of which the index changes fastest first.
        dtype: type and byte order.
        packing: how they are packed.
        skip: bytes before them after unpacking.
        lines: lines before them.
    """

    path: Path
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype
    packing: Packing
    skip: int = 0
    lines: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self, limits: Limits, name: str) -> np.ndarray:
        """Read them.

        Args:
            limits: what they may expand to.
            name: the image, for errors.

        Returns:
            Array of `shape` in the byte order of the machine.

        Raises:
            UserError: there are fewer or many more.
        """
        check_regular_file(self.path)
        if self.path.stat().st_size > limits.bytes and self.packing != "raw":
            raise limits.explain_excess(name)
        with self.path.open("rb") as file:
            file.seek(*((-self.nbytes, 2) if self.start == _AT_END else (self.start, 0)))
            for _ in range(self.lines):
                file.readline()
            content = file.read(self.skip + self.nbytes if self.packing == "raw" else -1)
        values = self._read_words(content) if self.packing == "text" else self._unpack(content, limits, name)
        if values.size < math.prod(self.shape):
            raise UserError(f"{name}: is damaged: its values end early; download it again")
        return values.reshape(self.shape, order="F").astype(self.dtype.newbyteorder("="), copy=False)

    def _read_words(self, content: bytes) -> np.ndarray:
        wide = np.float64 if self.dtype.kind == "f" else np.int64 if self.dtype.kind == "i" else np.uint64
        words = content.replace(b",", b" ").split()[: math.prod(self.shape)]
        return np.array(words, "S").astype(wide).astype(self.dtype)

    def _unpack(self, content: bytes, limits: Limits, name: str) -> np.ndarray:
        bound = limits.bound(self.skip + self.nbytes)
        if self.packing == "zlib":
            inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)  # with the header of zlib or of gzip
            content = inflater.decompress(content, bound + 1)
            complete = inflater.eof
        elif self.packing == "bzip2":
            unpacker = bz2.BZ2Decompressor()
            content = unpacker.decompress(content, bound + 1)
            complete = unpacker.eof
        else:
            complete = True
        if len(content) > bound:
            raise limits.explain_excess(name, bound)
        if not complete:
            raise UserError(f"{name}: is damaged: its values end early; download it again")
        whole = (len(content) - self.skip) // self.dtype.itemsize
        return np.frombuffer(content, self.dtype, max(0, min(whole, math.prod(self.shape))), self.skip)


def find_beside(header: Path, named: str) -> Path:
    """Return the file that a header names, in its folder or below.

    Raises:
        UserError: it names one elsewhere.
    """
    path = PurePosixPath(named.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise UserError(f"{format_path(header)}: names the data file {named!r}, which is not beside it; move it there")
    return header.parent / path


def make_nominal(dtype: np.dtype) -> tuple[float, float] | None:
    """Return the full range of a type; None for floating point."""
    return None if dtype.kind == "f" else (float(np.iinfo(dtype).min), float(np.iinfo(dtype).max))
