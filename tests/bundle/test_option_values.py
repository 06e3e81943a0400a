"""Any text for any option, on both command lines: taken as it is written, or refused with the option and the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fire.parser import DefaultParseValue
from hypothesis import example, given
from hypothesis import strategies as st

from medmamba_monai.bundle.command_line import TEXTS, check_command_line
from medmamba_monai.bundle.commands import COMMANDS, Command
from medmamba_monai.cli.bundle_options import read_value
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.options import find_types
from tests.helpers.small_bundle import ROOT

CONFIGS = ROOT / "bundles" / "phantom" / "configs"
OPTIONS = [(command, name) for command in COMMANDS.values() for name in command.rows]
ODD = (
    *(
        "",
        " ",
        "0",
        "-1",
        "1.5",
        "1e3",
        "1e400",
        "nan",
        "-inf",
        "0x10",
        "1_000",
        "007",
        "9" * 99,
        "true",
        "False",
        "no",
    ),
    *("None", "null", "[]", "[1,2]", "[1, 2", "{}", "{'a': 1}", '{"a": 1}', "(1)", "a,b", "'a'", '"a', "a b", "auto"),
    *("cpu", "cuda:99", "$1", "@x", "%y", "a#b", "x@::y", "\x00", "\n", "\ud800", "\u0661", "-x", "--", "--seed"),
    *("[" * 300, "{" * 300),
)
TEXT = st.sampled_from(ODD) | st.text(max_size=12) | st.integers().map(str) | st.floats().map(str)


def take(read: Callable[[], Any], name: str, typed: str) -> tuple[Any, bool]:
    """Return the value and True, or None and False where one error names the option and what was typed."""
    try:
        return read(), True
    except UserError as error:
        said = str(error)
    forms = (typed, repr(typed)[1:-1], str(DefaultParseValue(typed)), repr(DefaultParseValue(typed)))
    assert name in said, f"the option is not named: {said}"
    assert any(form in said for form in forms), f"the value is not shown: {said}"
    return None, False


@given(st.sampled_from(OPTIONS), TEXT)
@example((COMMANDS["train"], "learning_rate"), "1e400")
@example((COMMANDS["train"], "device"), "\x00")
@example((COMMANDS["cross_validate"], "overrides"), "[" * 5000)
def test_on_the_console(option: tuple[Command, str], typed: str) -> None:
    command, name = option
    row = command.rows[name]
    given_values = [typed] if list in find_types(row.annotation) else typed
    value, taken = take(lambda: command.check({name: read_value(name, row, given_values)})[name], name, typed)
    if taken and name in TEXTS:
        assert value == typed
    if taken and name in ("config_files", "evaluate_files") and not typed.startswith("["):
        assert value == [typed]


@given(st.sampled_from(OPTIONS), TEXT.filter(lambda text: not text.startswith(("$", "@", "%"))))  # left to MONAI
@example((COMMANDS["prepare"], "dataset_dir"), "2024.10")
@example((COMMANDS["prepare"], "overwrite"), "false")
def test_on_the_command_line_of_monai(option: tuple[Command, str], typed: str) -> None:
    command, name = option
    config = str([str(CONFIGS / f"{config}.json") for config in command.configs])

    def read() -> Any:
        check_command_line(["run", "--config_file", config, f"--{name}={typed}"])
        return command.check({name: DefaultParseValue(typed)})[name]

    value, taken = take(read, name, typed)
    if taken and name in TEXTS:
        assert value == typed or typed[:1] in ("'", '"')
    assert (name, typed, value) != ("overwrite", "false", True)
