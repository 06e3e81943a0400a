"""Options of the commands that run a bundle's configs: the rows of its option tables, which also check the values."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from medmamba_monai.bundle.commands import Command
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.options import expected, find_types

_METAVARS = {dict: "JSON", str: "TEXT", float: "NUMBER", int: "INTEGER"}

BundleArgument = Annotated[str, typer.Argument(metavar="BUNDLE", help="Folder of a bundle, or name of a dataset.")]


def take_options(table: Command) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each row of a table; those that a user gives come as one dictionary, ``options``.

    What is not given keeps the value that the bundle's configs have.

    Args:
        table: what the command does with a bundle.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = {name: parameter for name, parameter in signature.parameters.items() if name != "options"}
        rows = {name: row for name, row in table.rows.items() if name not in own}

        def expanded(**given: Any) -> None:
            said = {name: given.pop(name) for name in rows}
            options = {name: read_value(name, rows[name], value) for name, value in said.items() if value is not None}
            command(**given, options=options)

        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own.values()]
        parameters += [_make_parameter(name, row) for name, row in rows.items()]
        expanded.__name__, expanded.__doc__ = command.__name__, command.__doc__
        expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return expanded

    return decorate


def read_value(name: str, row: FieldInfo, value: Any) -> Any:
    """Return what was typed as the table takes it: lists and dictionaries are no text.

    A list is the values that follow its option, each taken as it is written, or one list in JSON.

    Args:
        name: of the option.
        row: of the option in its table.
        value: a text, a list of texts or a switch.

    Raises:
        UserError: a dictionary, or what begins like a list in JSON, is none.
    """
    if isinstance(value, list):
        return _read_json(name, " ".join(value), list, "[1, 2]") if value[0].startswith("[") else value
    return _read_json(name, value, dict, '{"key": 1}') if dict in find_types(row.annotation) else value


def _read_json(name: str, text: str, kind: type, example: str) -> Any:
    """Read JSON; numbers in a list stay texts, for the table to read as it reads others."""
    reading: dict[str, Any] = {"parse_int": str, "parse_float": str} if kind is list else {}
    try:
        if isinstance(found := json.loads(text, **reading), kind):
            return found
        reason = f"but {type(found).__name__}"
    except (ValueError, RecursionError) as error:
        reason = str(error) or "nested too deeply"
    raise UserError(f"--{name} {text}: is no JSON {kind.__name__} ({reason}); write it as '{example}'")


def _make_parameter(name: str, row: FieldInfo) -> inspect.Parameter:
    flag, accepted = f"--{name.replace('_', '-')}", find_types(row.annotation)
    metavar: str | None = next((word for known, word in _METAVARS.items() if known in accepted), "TEXT")
    kind: Any = str
    if bool in accepted and str not in accepted:
        kind, flag, metavar = bool, f"{flag}/--no-{flag[2:]}", None
    elif list in accepted:
        kind, metavar = list[str], f"{metavar}..."
    option = typer.Option(flag, metavar=metavar, help=_describe(row, metavar))
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _describe(row: FieldInfo, metavar: str | None) -> str:
    """The description of a row as a sentence, with what it accepts where the metavar does not say that."""
    said, accepted = str(row.description), expected(row)
    limits = f"; {accepted}" if metavar == "TEXT" and not accepted.startswith("a text") else ""
    return f"{said[:1].upper()}{said[1:]}{limits}."
