"""A command that takes several values after one option, as in ``--classes benign malignant``."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from typer.core import TyperCommand

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.suggestions import OTHER_OPTIONS, suggest_name

_NUMBER = re.compile(r"-[\d.]")


class Command(TyperCommand):
    """A Typer command with options of several values, where Typer itself wants the option before each of them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line, with the values of each list spread over as many options."""
        several = [name for option in self.params if getattr(option, "multiple", False) for name in option.opts]
        _explain_other_options(args, {str(option.name) for option in self.params})
        return super().parse_args(ctx, spread_lists(args, several, ctx.token_normalize_func or str))


def _explain_other_options(arguments: Sequence[str], known: Collection[str]) -> None:
    """Say of an option that is another command's what it means, before the nearest of this one is suggested.

    Raises:
        UserError: there is one.
    """
    for argument in arguments:
        name = argument.partition("=")[0].removeprefix("--").replace("-", "_")
        if argument.startswith("--") and name in OTHER_OPTIONS.keys() - known and OTHER_OPTIONS[name][0] in known:
            said = suggest_name(name, known, "--").replace(name, name.replace("_", "-"))
            raise UserError(f"{argument}: there is no such option; {said}")


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
