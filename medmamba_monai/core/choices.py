"""Values that must be one of a few."""

from __future__ import annotations

from typing import TypeVar

from medmamba_monai.core.errors import UserError

_Choice = TypeVar("_Choice", bound=str)


def check_choice(value: str, choices: tuple[_Choice, ...], kind: str) -> _Choice:
    """Return the value, if it is one of the choices.

    Args:
        value: what was given.
        choices: all that there are.
        kind: what they are, for the message.

    Raises:
        UserError: it is none; names all.

    Example:
        >>> check_choice("pooled", ("ensemble", "pooled"), "combination")
        'pooled'
    """
    for known in choices:
        if value == known:
            return known
    raise UserError(f"unknown {kind} {value!r}: choose one of {', '.join(choices)}")
