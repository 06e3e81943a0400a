"""Texts that MONAI's config language carries unchanged, which a text of strangers need not be."""

from __future__ import annotations

import re
import unicodedata

_PLACE = re.compile(r"[@%](?:::|#)")
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")


def check_config_text(text: str) -> str:
    r"""Return a text unchanged if MONAI's `ConfigParser` does so, too, wherever in a config or its metadata it stands.

    MONAI runs a text that begins with ``$``, looks up one that begins with ``@``, puts a part of the config in the
    place of one that begins with ``%``, writes ``::`` for each ``#``, and another place for each ``@::`` and ``%::``.

    Raises:
        ValueError: it would become something else; says what to rename.

    Example:
        >>> check_config_text("50 % of 2::3, a@b.org")
        '50 % of 2::3, a@b.org'
        >>> check_config_text("nodule #1")
        Traceback (most recent call last):
        ...
        ValueError: must not hold #: MONAI reads # as ::; rename it
    """
    check_prose(text)
    if "#" in text:
        raise ValueError("must not hold #: MONAI reads # as ::; rename it")
    return text


def check_prose(text: str) -> str:
    """Return a text for documents unchanged; it may hold ``#``, and nothing else that `check_config_text` refuses.

    Raises:
        ValueError: it holds what MONAI evaluates, or what no file and no terminal shows; says what to rename.
    """
    if text[:1] in ("$", "@", "%"):
        raise ValueError("must not begin with $, @ or %, which MONAI evaluates; rename it")
    if match := _PLACE.search(text):
        raise ValueError(f"must not hold {match[0]}, which MONAI reads as a place in a config; rename it")
    if any(unicodedata.category(letter) in _UNPRINTABLE for letter in text):
        raise ValueError("must have no line breaks, control characters or bytes that are no UTF-8; rename it")
    return text
