"""Options of a command that stand in a dataclass already: each field becomes an option, typed and described there."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer

_ENTRY = re.compile(r"^    (\w+): (.+(?:\n {5,}.+)*)", re.MULTILINE)


def expand_tables(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with an option for each field of its parameters that are dataclasses.

    An option has the field's name, type and default, and the field's line in the dataclass's ``Attributes`` as help.
    Fields that a command line cannot give, such as dictionaries, keep their default.

    Args:
        command: the function of a command; its other parameters stay as they are.
    """
    hints = get_type_hints(command, include_extras=True)
    tables = {name: hint for name, hint in hints.items() if isinstance(hint, type) and dataclasses.is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        kept = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
        parameters += table_options(tables[name]) if name in tables else [kept]

    def expanded(**given: Any) -> None:
        made = {name: _take(table, given) for name, table in tables.items()}
        command(**given, **made)

    expanded.__name__, expanded.__doc__ = command.__name__, command.__doc__
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded


def table_options(table: type[Any]) -> list[inspect.Parameter]:
    """Return the options of a dataclass as parameters of a command."""
    hints, described = get_type_hints(table), describe_fields(table)
    options = []
    for field in dataclasses.fields(table):
        if (kind := _kind(hints[field.name])) is None:
            continue
        flag = f"--{field.name.replace('_', '-')}"
        names = [flag] if kind is bool and field.default is False else []
        metavar = "NAME..." if get_origin(kind) is list else None
        option = typer.Option(*names, help=described.get(field.name), metavar=metavar)
        default = None if isinstance(field.default, tuple) else field.default
        annotation = Annotated[kind | None, option] if default is None else Annotated[kind, option]
        options.append(
            inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        )
    return options


def describe_fields(table: type[Any]) -> dict[str, str]:
    """Return what the ``Attributes`` section of a class's docstring says of each, on one line."""
    section = inspect.cleandoc(table.__doc__ or "").partition("\nAttributes:\n")[2].partition("\n\n")[0]
    return {name: " ".join(text.split()).replace("``", "") for name, text in _ENTRY.findall(section)}


def _kind(hint: Any) -> Any:
    """The type of an option for a field; None for a field that cannot be one."""
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Mapping or origin is dict:
        return None
    several: Any = list
    return several[arguments[0]] if origin is Sequence or arguments[1:] == (...,) else hint


def _take(table: type[Any], given: dict[str, Any]) -> Any:
    """Make the dataclass of its options, and take them away from the others."""
    values = {field.name: given.pop(field.name) for field in dataclasses.fields(table) if field.name in given}
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return table(**{name: value for name, value in (values | lists).items() if value is not None})
