from __future__ import annotations

import inspect
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from medmamba_monai.cli.command import Command, spread_lists
from medmamba_monai.cli.commands import NAMES, load_command, read_summary
from medmamba_monai.cli.main import main
from medmamba_monai.cli.option_tables import describe_fields, expand_tables
from medmamba_monai.data.propose.card import Options
from medmamba_monai.data.propose.labels import Labels


@dataclass
class Table:
    """Two fields of a command.

    Attributes:
        classes: The classes in
            label order.
        ordered: The classes have an order.
        more: Cannot be given.
    """

    classes: tuple[str, ...] = ()
    ordered: bool = False
    more: dict[str, Any] = field(default_factory=dict)


def run(*arguments: str) -> dict[str, Any]:
    """What a command with a table and options of its own is given."""
    seen: dict[str, Any] = {}

    @expand_tables
    def command(
        name: Annotated[str, typer.Argument()], table: Table, gray: Annotated[list[int] | None, typer.Option()] = None
    ) -> None:
        seen.update(name=name, table=table, gray=gray)

    app = typer.Typer(rich_markup_mode=None, context_settings={"token_normalize_func": lambda s: s.replace("_", "-")})
    app.command(cls=Command)(command)
    typer.main.get_command(app).main(args=list(arguments), standalone_mode=False)
    return seen


def test_a_table_is_made_of_its_options():
    given = run("ct", "--classes", "benign", "malignant", "--ordered", "--gray", "0")
    assert given == {"name": "ct", "table": Table(("benign", "malignant"), True), "gray": [0]}
    assert run("ct") == {"name": "ct", "table": Table(), "gray": None}


def test_what_a_table_says_of_a_field_is_its_help():
    assert describe_fields(Table) == {
        "classes": "The classes in label order.",
        "ordered": "The classes have an order.",
        "more": "Cannot be given.",
    }


@pytest.mark.parametrize("table", [Labels, Options])
def test_every_field_of_the_tables_of_new_bundle_is_described(table):
    assert set(describe_fields(table)) == set(table.__dataclass_fields__)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--classes a b c --size 3", "--classes a --classes b --classes c --size 3"),
        ("--classes=a b", "--classes=a b"),
        ("--classes a --classes b c", "--classes a --classes b --classes c"),
        ("--range -1 2.5 -3 --size -4", "--range -1 --range 2.5 --range -3 --size -4"),
        ("--classes --size 3", "--classes --size 3"),
        ("name --size 3 more", "name --size 3 more"),
    ],
)
def test_values_after_one_option_are_spread_over_as_many(arguments, expected):
    assert spread_lists(arguments.split(), ["--classes", "--range"], str) == expected.split()


def test_both_spellings_of_a_list_are_known():
    spread = spread_lists(["--no_label", "a", "b"], ["--no-label"], lambda name: name.replace("_", "-"))
    assert spread == ["--no_label", "a", "--no_label", "b"]


def test_an_option_of_another_command_is_told_with_what_both_mean(capsys):
    assert main(["cross-validate", "phantom", "--num-folds", "3"]) == 2
    said = "prepare takes --num-folds, how many folds to make; --folds says which of them to run"
    assert capsys.readouterr().err == f"error: --num-folds: there is no such option; {said}\n"


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_every_command_fits_a_terminal_and_describes_every_option(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: medmamba-monai {name} ")
    assert max(map(len, shown.splitlines())) <= 80
    assert not re.findall(r"^  --[\w-]+(?: <\w+>)?$", shown, re.MULTILINE), "an option without help"
    assert "\x1b" not in shown


def test_the_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in NAMES)
    assert "..." not in shown.partition("Commands:")[2]


@pytest.mark.parametrize("name", NAMES)
def test_the_list_says_of_a_command_what_its_own_help_says_first(name):
    assert read_summary(name)
    assert inspect.cleandoc(load_command(name).help).partition("\n\n")[0] == read_summary(name)


LISTS = """
import sys
from medmamba_monai.cli.main import main
assert main(["--help"]) == main(["send", "--help"]) == 0
assert main(["sendd"]) == 2
print(*sys.modules)
"""


def test_to_list_the_commands_nothing_large_is_imported():
    done = subprocess.run([sys.executable, "-c", LISTS], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "typer" in loaded
    assert loaded.isdisjoint({"torch", "monai", "numpy", "mlflow", "matplotlib", "pandas", "ignite", "sklearn"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["comapre"], "No such command 'comapre'. Did you mean 'compare'?"),
        (["review", "x", "--resample", "3"], "No such option: --resample (Possible options: --resamples)"),
        (["review", "x", "--resamples", "many"], "Invalid value for '--resamples'"),
        (["new_bundle", "x", "--images", "y", "--spatial_dims", "4"], "'4' is not one of '2', '3'"),
        (["new-bundle", "x", "--images", "y", "--window", "40"], "Option '--window' requires 2 arguments."),
        (["new-bundle", "x"], "Missing option '--images'"),
    ],
)
def test_a_wrong_option_is_named_with_what_would_be_right(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_new_bundle_gives_every_option_to_the_proposal(tmp_path, monkeypatch):
    import medmamba_monai.bundle.new_bundle as module

    seen: list[Any] = []
    monkeypatch.setattr(module, "new_bundle", lambda *given: seen.extend(given))
    line = (
        "new-bundle ct --images scans --table t.csv --image_column file --label-column a b --no-label none healthy "
        "--label-separator | --separator ; --encoding latin-1 --group_column patient --split-column split --title CT "
        "--modality CT --spatial-dims 3 --channels 1 --image-size 64 --classes b a --ordinal --background 1 2 3 "
        "--intensity-range -160 240 --frame 2 --fill_non_finite -1 "
        "--field-of-view 200 200 150 --group-tag none --allow_links --overwrite"
    )
    assert main(line.split()) == 0
    name, images, labels, options, root, overwrite = seen
    assert (name, images, root, overwrite) == ("ct", Path("scans"), Path.cwd(), True)
    assert labels == Labels(
        table=Path("t.csv"),
        image_column="file",
        label_column=("a", "b"),
        label_separator="|",
        group_column="patient",
        split_column="split",
        separator=";",
        encoding="latin-1",
        no_label=("none", "healthy"),
    )
    reading = {
        "background": [1, 2, 3],
        "intensity_range": [-160.0, 240.0],
        "clip": True,
        "frame": 2,
        "fill_non_finite": -1.0,
        "field_of_view": [200.0, 200.0, 150.0],
    }
    assert options == Options(
        title="CT",
        modality="CT",
        spatial_dims=3,
        channels=1,
        image_size=64,
        classes=("b", "a"),
        ordinal=True,
        group_tag="none",
        allow_links=True,
        reading=reading,
    )


def test_one_background_is_a_gray(monkeypatch):
    import medmamba_monai.bundle.new_bundle as module

    seen: list[Any] = []
    monkeypatch.setattr(module, "new_bundle", lambda *given: seen.extend(given))
    assert main(["new-bundle", "x", "--images", "y", "--background", "255", "--window", "40", "400"]) == 0
    assert seen[3].reading == {"background": 255, "window": [40.0, 400.0]}


def switch(*arguments: str) -> tuple[str, bool, bool]:
    """What a command with a positional argument, a switch of two names and one of one name is given."""
    seen: list[tuple[str, bool, bool]] = []

    def command(
        name: Annotated[str, typer.Argument()],
        go_on: Annotated[bool, typer.Option("--go-on/--no-go-on")] = True,
        only: Annotated[bool, typer.Option("--only")] = False,
    ) -> None:
        seen.append((name, go_on, only))

    app = typer.Typer(rich_markup_mode=None, context_settings={"token_normalize_func": lambda s: s.replace("_", "-")})
    app.command(cls=Command)(command)
    typer.main.get_command(app).main(args=list(arguments), standalone_mode=False)
    return seen[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["ct", "--go_on", "False", "--only", "True"], ("ct", False, True)),
        (["--go-on=true", "--only=false", "ct"], ("ct", True, False)),
        (["--no-go-on", "False", "ct"], ("ct", True, False)),
        (["--no-go-on", "ct", "--only"], ("ct", False, True)),
        (["true", "--only"], ("true", True, True)),
    ],
)
def test_a_switch_may_be_told_true_or_false_as_monai_writes_it(arguments: list[str], expected: tuple[str, bool, bool]):
    assert switch(*arguments) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--field-of-view", "20", "30"], "--field-of-view 20.0 30.0: give one number, or x, y and z"),
        (["--background", "0", "255"], "--background 0 255: give gray, or red, green and blue"),
    ],
)
def test_two_values_where_one_or_three_are_meant_are_named(given: list[str], said: str, capsys):
    assert main(["new-bundle", "ct", "--images", "nowhere", *given]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["~/my scans"], ["--", "~/my scans"]])
def test_the_home_folder_is_found_where_a_shell_leaves_it(arguments: list[str], monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert switch(*arguments)[0] == "/home/me/my scans"


def test_the_home_folder_is_found_behind_an_option(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert run("ct", "--classes=~/a", "--classes", "b=~/c", "~d")["table"].classes == ("/home/me/a", "b=~/c", "~d")
