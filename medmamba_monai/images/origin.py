"""Facts of a file that say where it comes from and nothing of what it shows, for the audit of shortcuts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

Fact = str | float | tuple[float, ...]
"""A category, a number, or numbers that belong together such as the spacing along each axis."""

Origin = Mapping[str, Fact]
"""Facts by their names for people, such as "compression"."""


def digest_text(text: object) -> str:
    """Return a short digest of a text of a file, which may name a hospital: equal for equal texts, and no more.

    Example:
        >>> digest_text("General Hospital ") == digest_text("General Hospital")
        True
    """
    return hashlib.blake2b(str(text).strip().encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
