"""The console script ``medmamba-monai``: its commands, and how they end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Annotated

import typer

from medmamba_monai import __version__
from medmamba_monai.cli.commands import Commands
from medmamba_monai.core.errors import ends_with_user_errors

PROGRAM = "medmamba-monai"


def _show_version(asked: bool) -> None:
    if asked:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


def build_app() -> typer.Typer:
    """Return the application with all commands."""
    app = typer.Typer(
        cls=Commands,
        help="MedMamba for MONAI: make bundles, train, review and compare.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
    )
    app.callback()(_take_version)
    return app


def _take_version(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version.")
    ] = False,
) -> None:
    """Take what stands before a command."""


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 where something is left to do, 2 for what the user can fix.

    Args:
        arguments: of the command line, without the program; by default those of this process.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        typer.main.get_command(build_app()).main(args=arguments, prog_name=PROGRAM)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0
