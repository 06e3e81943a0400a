"""A command that takes several values after one option, and True or False after a switch.

``--classes benign malignant`` is as documents and people write lists, ``--resume False`` as MONAI's command line and
this package's own messages write switches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.suggestions import OTHER_OPTIONS, suggest_name

_NUMBER = re.compile(r"-[\d.]")
_SWITCHED = {"true": True, "false": False}


class Command(TyperCommand):
    """A Typer command with options of several values, and with switches that may be told True or False.

    Typer itself wants an option of several values before each of them, and only ``--resume`` or ``--no-resume``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line, with the values of each list spread over as many options, and of switches settled."""
        normalize = ctx.token_normalize_func or str
        several = [name for option in self.params if getattr(option, "multiple", False) for name in option.opts]
        args = [_expand_home(argument) for argument in args]
        _explain_other_options(args, {str(option.name) for option in self.params})
        settled = settle_switches(args, _list_switches(self.params), normalize)
        return super().parse_args(ctx, spread_lists(settled, several, normalize))


def _list_switches(parameters: Iterable[Any]) -> dict[str, str | None]:
    """Return what says the opposite of each switch; None where leaving it out does."""
    opposites: dict[str, str | None] = {}
    for option in parameters:
        if getattr(option, "is_flag", False):
            opposites |= dict.fromkeys(option.opts, next(iter(option.secondary_opts), None))
            opposites |= dict.fromkeys(option.secondary_opts, option.opts[0])
    return opposites


def settle_switches(
    arguments: Sequence[str], opposites: Mapping[str, str | None], normalize: Callable[[str], str]
) -> list[str]:
    """Replace a switch and the True or False that follows it by the switch that says the same alone.

    Args:
        arguments: of a command line.
        opposites: for each switch what says the opposite; None where leaving it out does.
        normalize: makes one spelling of several of an option.

    Example:
        >>> settle_switches(["--resume", "False", "--tta=True"], {"--resume": "--no-resume", "--tta": None}, str)
        ['--no-resume', '--tta']
    """
    known = {normalize(name): opposite for name, opposite in opposites.items()}
    settled: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name, _, value = argument.partition("=")
        said = _SWITCHED.get((value or next(iter(waiting), "")).lower())
        if normalize(name) not in known or said is None:
            settled.append(argument)
            continue
        if not value:
            del waiting[0]
        if (chosen := name if said else known[normalize(name)]) is not None:
            settled.append(chosen)
    return settled


def _expand_home(argument: str) -> str:
    """Return an argument with the home folder in place of ``~``, where a shell leaves it: quoted, or behind ``=``."""
    option, mark, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    return f"{option}{mark}{Path(value).expanduser() if value.startswith('~/') else value}"


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
