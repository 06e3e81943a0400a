"""Options of a command as one typed table: checking, help, logging and resuming all read the same rows.

A row is a field of a pydantic model. Its type says what is accepted, its description is the help text, and `Flag` says
what else holds for it. Values may come from a command line, where Fire makes a number of a folder named 2024 and a
text of a lower-case ``false``: both become what the row declares.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from tabulate import tabulate

from medmamba_monai.core.errors import UserError


class Flag(enum.Enum):
    """What holds for an option beside its type."""

    FREE = "may have another value whenever a run goes on"
    SAME = "must have the same value for a training to go on"
    WEIGHTS = "weights fit only where it has the value that they were trained with"
    PER_FOLD = "a cross-validation chooses it for each fold"
    PRIVATE = "names a folder, a file or a server of this machine"
    UNLOGGED = "says nothing about what was trained"


@dataclass(frozen=True)
class Expects:
    """What a user may give, in words that follow "give"."""

    text: str


def _not_a_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a switch is no number")
    return value


def to_text(value: Any) -> Any:
    """Return the text that Fire made a number (``2024``) or a list (``a,b``) of; anything else stays."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value) if isinstance(value, (bool, int, float, PurePath)) else value


WholeFrom0 = Annotated[int, BeforeValidator(_not_a_switch), Field(ge=0), Expects("a whole number from 0")]
WholeFrom1 = Annotated[int, BeforeValidator(_not_a_switch), Field(ge=1), Expects("a whole number from 1")]
WholeFrom2 = Annotated[int, BeforeValidator(_not_a_switch), Field(ge=2), Expects("a whole number from 2")]
Whole = Annotated[int, BeforeValidator(_not_a_switch), Expects("a whole number")]
NumberFrom0 = Annotated[
    float, BeforeValidator(_not_a_switch), Field(ge=0, allow_inf_nan=False), Expects("a number from 0")
]
Fraction = Annotated[float, BeforeValidator(_not_a_switch), Field(ge=0, le=1), Expects("a number from 0 to 1")]
WholeNumbers = Annotated[list[int], Expects("a list of whole numbers, such as [2,2,4,2]")]
Scale = Annotated[float, BeforeValidator(_not_a_switch), Field(ge=1, le=64, allow_inf_nan=False)]
Scales = Annotated[list[Scale], Field(min_length=1), Expects("a list of numbers from 1 to 64, such as [1,1.5]")]
Switch = Annotated[bool, Expects("True or False")]
Text = Annotated[str, BeforeValidator(to_text), Expects("a text")]


class Options(BaseModel):
    """Base of the tables. Values are checked and brought to their types when an object is made, and never change.

    Raises:
        UserError: a value does not fit its row, or an option is missing or unknown, or a folder begins with ``~``,
            which would be one of that name here; names the option and the value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _explain(type(self), error) from error
        for name in self.names(Flag.PRIVATE):
            if isinstance(place := getattr(self, name), str) and place.startswith("~/"):
                raise UserError(
                    f"--{name} {place}: begins with ~, which a shell replaces only where a word begins with it; write "
                    f"{Path(place).expanduser()}"
                )

    @classmethod
    def names(cls, *flags: Flag) -> list[str]:
        """Return the names of the options that have at least one of the flags."""
        return [name for name, row in cls.model_fields.items() if any(flag in row.metadata for flag in flags)]

    def values(self) -> dict[str, Any]:
        """Return all values as JSON holds them, by name."""
        return self.model_dump(mode="json")

    def select(self, *flags: Flag) -> dict[str, Any]:
        """Return the values of the options that have at least one of the flags, by name."""
        return self._pick(set(self.names(*flags)))

    def leave_out(self, *flags: Flag) -> dict[str, Any]:
        """Return the values of the options that have none of the flags, by name."""
        return self._pick(set(type(self).model_fields) - set(self.names(*flags)))

    def _pick(self, names: set[str]) -> dict[str, Any]:
        return {name: value for name, value in self.values().items() if name in names}

    def format_help(self) -> str:
        """Return a table of all options with their values, for a terminal."""
        return format_options(type(self), self.values())


def format_options(
    table: type[Options], values: Mapping[str, Any] | None = None, only: Collection[str] | None = None
) -> str:
    """Return the rows of a table of options, for a terminal.

    Args:
        table: the options.
        values: what to show as each option's value, by name; None shows no values.
        only: names of the options to show; None shows all.
    """
    rows = []
    for name, row in table.model_fields.items():
        if only is not None and name not in only:
            continue
        shown = [] if values is None else [_shorten(str(values[name]))]
        rows.append([f"--{name}", *shown, f"{row.description} ({expected(row)})"])
    return tabulate(rows, tablefmt="plain", disable_numparse=True)


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


def expected(row: FieldInfo) -> str:
    """Return in words what a row accepts."""
    found = list(dict.fromkeys([entry.text for entry in row.metadata if isinstance(entry, Expects)]))
    return " or ".join(found or dict.fromkeys(_expectations(row.annotation)))


def find_types(annotation: Any) -> set[Any]:
    """Return the types that an annotation accepts, and those inside of lists and dictionaries, without None.

    Example:
        >>> find_types(Text | WholeNumbers | None) == {str, list, int}
        True
    """
    origin, members = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return find_types(members[0])
    own = set() if origin in (typing.Union, types.UnionType) or annotation is types.NoneType else {origin or annotation}
    return own.union(*map(find_types, members))


def takes_text(row: FieldInfo) -> bool:
    """Say whether a row takes any text, so that a number or a list that is given stands for the text it is made of."""
    return to_text in _find_readers(row.annotation) | {entry.func for entry in row.metadata if _reads(entry)}


def _find_readers(annotation: Any) -> set[Any]:
    """Return the functions that read a value first, of each member of an annotation."""
    own = {entry.func for entry in getattr(annotation, "__metadata__", ()) if _reads(entry)}
    return own.union(*map(_find_readers, typing.get_args(annotation)))


def _reads(entry: Any) -> bool:
    return isinstance(entry, BeforeValidator)


def _expectations(annotation: Any) -> Iterator[str]:
    """Yield what each member of an annotation such as ``Text | None`` expects."""
    if annotation is type(None):
        yield "None"
    for entry in getattr(annotation, "__metadata__", ()):
        if isinstance(entry, Expects):
            yield entry.text
            return
    for member in typing.get_args(annotation):
        yield from _expectations(member)


def _explain(table: type[Options], error: ValidationError) -> UserError:
    """Return the first problem as a user error; one that a check raised as such keeps its own words."""
    problem = error.errors(include_url=False)[0]
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, UserError):
        return cause
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return UserError(f"--{name}: is no option; choose from {', '.join(table.model_fields)}")
    if problem["type"] == "missing":
        return UserError(f"--{name}: is missing; give {expected(table.model_fields[name])}")
    found = problem["input"]
    return UserError(f"--{name} {found!r}: give {expected(table.model_fields[name])}")
