"""The console script ``medmamba-monai``: its commands, and how they end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Annotated

import typer

from medmamba_monai import __version__
from medmamba_monai.cli.attention import attention
from medmamba_monai.cli.auto import auto
from medmamba_monai.cli.bundle import bundle
from medmamba_monai.cli.command import Command
from medmamba_monai.cli.compare import compare
from medmamba_monai.cli.cross_validate import cross_validate
from medmamba_monai.cli.demo import demo
from medmamba_monai.cli.embed import embed
from medmamba_monai.cli.evaluate import evaluate
from medmamba_monai.cli.explain import explain
from medmamba_monai.cli.export import export
from medmamba_monai.cli.federate import federate, federation_job, federation_kit
from medmamba_monai.cli.fuse import fuse
from medmamba_monai.cli.infer import infer
from medmamba_monai.cli.listen import listen
from medmamba_monai.cli.log_model import log_model
from medmamba_monai.cli.new_bundle import new_bundle
from medmamba_monai.cli.package import package
from medmamba_monai.cli.prepare import prepare
from medmamba_monai.cli.pretrain import pretrain
from medmamba_monai.cli.publish import publish
from medmamba_monai.cli.repeat import repeat
from medmamba_monai.cli.review import review
from medmamba_monai.cli.robustness import robustness
from medmamba_monai.cli.send import send
from medmamba_monai.cli.train import train
from medmamba_monai.core.errors import ends_with_user_errors

PROGRAM = "medmamba-monai"
COMMANDS = (
    demo,
    auto,
    new_bundle,
    bundle,
    prepare,
    pretrain,
    embed,
    train,
    evaluate,
    cross_validate,
    repeat,
    federate,
    federation_job,
    federation_kit,
    infer,
    listen,
    package,
    log_model,
    export,
    review,
    fuse,
    compare,
    robustness,
    explain,
    attention,
    send,
    publish,
)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


def build_app() -> typer.Typer:
    """Return the application with all commands."""
    app = typer.Typer(
        help="MedMamba for MONAI: make bundles, train, review and compare.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
    )
    app.callback()(_take_version)
    for command in COMMANDS:
        app.command(cls=Command)(command)
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
