"""A command that takes several values after one option, as in ``--classes benign malignant``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from typer.core import TyperCommand

_NUMBER = re.compile(r"-[\d.]")


class Command(TyperCommand):
    """A Typer command with options of several values, where Typer itself wants the option before each of them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line, with the values of each list spread over as many options."""
        several = [name for option in self.params if getattr(option, "multiple", False) for name in option.opts]
        return super().parse_args(ctx, spread_lists(args, several, ctx.token_normalize_func or str))


def spread_lists(arguments: Sequence[str], options: Iterable[str], normalize: Callable[[str], str]) -> list[str]:
    """Repeat an option before each of its values, which end at the next option.

    Args:
        arguments: of a command line.
        options: those that take several values.
        normalize: makes one spelling of several of an option.

    Example:
        >>> spread_lists(["--classes", "a", "b", "--size", "3"], ["--classes"], str)
        ['--classes', 'a', '--classes', 'b', '--size', '3']
    """
    known = set(map(normalize, options))
    spread: list[str] = []
    current: str | None = None
    for argument in arguments:
        if argument.startswith("-") and not _NUMBER.match(argument):
            current = argument if normalize(argument) in known else None
            spread.append(argument)
        elif current is None or spread[-1] == current:
            spread.append(argument)
        else:
            spread += [current, argument]
    return spread
