from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.options import Flag, Fraction, Options, Switch, Text, WholeFrom1, expected, format_options


class Table(Options):
    """A table of each kind of row."""

    folder: Annotated[Text, Flag.FREE, Flag.PRIVATE] = Field(description="where")
    count: Annotated[WholeFrom1, Flag.SAME] = Field(description="how many")
    part: Fraction | None = Field(description="how much")
    fast: Annotated[Switch, Flag.FREE] = Field(description="at once")


GIVEN: dict[str, Any] = {"folder": "a", "count": 2, "part": None, "fast": False}


def test_rows_are_chosen_by_their_flags():
    made = Table(**GIVEN)
    assert Table.names(Flag.FREE) == ["folder", "fast"]
    assert made.select(Flag.SAME) == {"count": 2}
    assert made.leave_out(Flag.FREE) == {"count": 2, "part": None}
    assert made.values() == GIVEN


def test_a_row_says_what_it_accepts():
    said = {name: expected(row) for name, row in Table.model_fields.items()}
    assert said == {
        "folder": "a text",
        "count": "a whole number from 1",
        "part": "a number from 0 to 1 or None",
        "fast": "True or False",
    }


def test_help_shows_rows_with_or_without_values():
    assert format_options(Table, only=["count"]) == "--count  how many (a whole number from 1)"
    shown = format_options(Table, {**GIVEN, "folder": "x" * 60}).splitlines()
    assert shown[0].split() == ["--folder", "x" * 37 + "...", "where", "(a", "text)"]
    assert len(shown) == len(GIVEN)


def test_a_value_that_does_not_fit_is_named_with_what_does():
    with pytest.raises(UserError, match=r"^--part 2: give a number from 0 to 1 or None$"):
        Table(**{**GIVEN, "part": 2})


def test_values_never_change():
    with pytest.raises(ValueError, match="frozen"):
        Table(**GIVEN).count = 3


def test_a_folder_that_a_shell_would_have_found_is_none_of_this_name_here(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    with pytest.raises(UserError, match=r"^--folder ~/runs: begins with ~, .*; write /home/me/runs$"):
        Table(**{**GIVEN, "folder": "~/runs"})
    assert Table(**{**GIVEN, "folder": "./~/runs"}).folder == "./~/runs"
