"""The commands in the order of the help, each imported when it is run: PyTorch and MONAI take seconds to import."""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from medmamba_monai.cli.command import Command

NAMES = (
    "demo",
    "auto",
    "new-bundle",
    "bundle",
    "prepare",
    "pretrain",
    "embed",
    "train",
    "evaluate",
    "cross-validate",
    "repeat",
    "federate",
    "federation-job",
    "federation-kit",
    "infer",
    "listen",
    "package",
    "log-model",
    "export",
    "review",
    "fuse",
    "compare",
    "robustness",
    "explain",
    "attention",
    "send",
    "publish",
)
_IN_FILE = {"federation-job": "federate", "federation-kit": "federate"}
"""Commands that share a file with another one; all others have one of their name."""


def load_command(name: str) -> Any:
    """Import a command.

    Args:
        name: one of `NAMES`.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, cls=Command)(_load_function(name))
    return typer.main.get_command(app)


def read_summary(name: str) -> str:
    """Return what the help says of a command, the first lines of its docstring, without importing it.

    Args:
        name: one of `NAMES`.
    """
    text = Path(__file__).with_name(f"{_name_file(name)}.py").read_text(encoding="utf-8")
    functions = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    function = next(node for node in functions if node.name == _name_function(name))
    return (ast.get_docstring(function) or "").partition("\n\n")[0]


def _name_function(name: str) -> str:
    return name.replace("-", "_")


def _name_file(name: str) -> str:
    return _IN_FILE.get(name, _name_function(name))


def _load_function(name: str) -> Callable[..., None]:
    file = import_module(f"medmamba_monai.cli.{_name_file(name)}")
    function: Callable[..., None] = getattr(file, _name_function(name))
    return function


class _Listed(Command):
    """A command in the list, whose file is read when it is listed."""

    def get_short_help_str(self, limit: int = 45) -> str:
        self.help = read_summary(str(self.name))
        return super().get_short_help_str(limit)


class Commands(TyperGroup):
    """The commands as a group that imports the one that is run, and none to list them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: _Listed(name) for name in NAMES}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the arguments name, imported, with its name and its arguments."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name and listed else listed, rest
