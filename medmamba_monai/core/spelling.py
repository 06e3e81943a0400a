"""Values that people and programs write in several ways: which are one, and which say that there is none."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_BETWEEN_WORDS = re.compile(r"(?<=\w)[\s_-]+(?=\w)|_+")
_WHOLE_NUMBER = re.compile(r"\+?(-?)0*(\d+)(?:\.0*)?")
_NO_VALUE = frozenset(
    (
        *("", "nan", "-nan", "na", "n/a", "<na>", "nat", "null", "<null>", "\\n"),  # pandas, R, NumPy, databases
        *("#n/a", "#na", "#null!", "#value!", "#ref!", "#name?", "#num!", "#div/0!"),  # spreadsheets
    )
)
_NOBODY = frozenset(("none", "unknown", "anonymous", "anonymized", "anonymised", "?", "-", "--", "."))


@lru_cache(maxsize=1 << 16)
def comparable(name: str) -> str:
    """Return a name without what spellings of it differ in to no reader.

    That is case, and blank, ``_`` or ``-`` between words; the ways in which Unicode writes one letter, and letters that
    nobody sees; and of whole numbers zeros in front and behind a point.

    Example:
        >>> comparable("Mild_DR"), comparable("03.0"), comparable("3.5")
        ('mild dr', '3', '3.5')
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    text = "".join(letter for letter in text if unicodedata.category(letter) not in ("Cf", "Cc") or letter.isspace())
    text = " ".join(_BETWEEN_WORDS.sub(" ", text).split())
    number = _WHOLE_NUMBER.fullmatch(text)
    return f"{number[1]}{number[2]}" if number else text


def is_missing(value: str) -> bool:
    """Return whether a cell says that there is no value, as programs write it: nothing, ``NA``, ``nan``, ``null``."""
    return comparable(value) in _NO_VALUE


def is_nobody(value: str) -> bool:
    """Return whether a value names no patient or other group: it is missing, or says ``unknown`` or the like."""
    return is_missing(value) or comparable(value) in _NOBODY
