"""What a message suggests in the place of a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

_NEAR = 0.75
"""Least likeness of a name that is suggested, from 0 to 1: ``epochs`` is no ``depths``."""

OTHER_OPTIONS: Mapping[str, tuple[str, str]] = {
    "num_folds": (
        "folds",
        "prepare takes {mark}num_folds, how many folds to make; {mark}folds says which of them to run",
    ),
}
"""What is said of an option that another command has, by its name, where the command has a certain other one."""


def suggest_name(name: str, known: Collection[str], mark: str = "") -> str:
    """Return the end of a message: what else such a name is, the nearest that is known, or all that are.

    Args:
        name: what is not known.
        known: the names that are.
        mark: what stands before a name, such as ``--``.

    Example:
        >>> suggest_name("epoch", ["epochs", "depths"], "--")
        'did you mean --epochs?'
        >>> suggest_name("epochs", ["depths", "amp"])
        'known are amp, depths'
    """
    other, said = OTHER_OPTIONS.get(name, ("", ""))
    if other in known:
        return said.format(mark=mark)
    near = difflib.get_close_matches(name, known, 1, _NEAR)
    return f"did you mean {mark}{near[0]}?" if near else f"known are {', '.join(sorted(known))}"
