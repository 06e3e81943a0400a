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

FILES = {
    "demo": "demo",
    "auto": "auto",
    "new-bundle": "new_bundle",
    "bundle": "bundle",
    "prepare": "prepare",
    "pretrain": "pretrain",
    "embed": "embed",
    "train": "train",
    "evaluate": "evaluate",
    "cross-validate": "cross_validate",
    "repeat": "repeat",
    "federate": "federate",
    "federation-job": "federate",
    "federation-kit": "federate",
    "infer": "infer",
    "listen": "listen",
    "package": "package",
    "log-model": "log_model",
    "export": "export",
    "review": "review",
    "fuse": "fuse",
    "compare": "compare",
    "robustness": "robustness",
    "explain": "explain",
    "attention": "attention",
    "send": "send",
    "publish": "publish",
}
"""The file of each command, whose function has the command's name with underscores."""


def load_command(name: str) -> Any:
    """Import a command.

    Args:
        name: one of `FILES`.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, cls=Command)(_load_function(name))
    return typer.main.get_command(app)


def read_summary(name: str) -> str:
    """Return what the help says of a command, the first lines of its docstring, without importing it.

    Args:
        name: one of `FILES`.
    """
    text = Path(__file__).with_name(f"{FILES[name]}.py").read_text(encoding="utf-8")
    functions = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    function = next(node for node in functions if node.name == _name_function(name))
    return (ast.get_docstring(function) or "").partition("\n\n")[0]


def _name_function(name: str) -> str:
    return name.replace("-", "_")


def _load_function(name: str) -> Callable[..., None]:
    function: Callable[..., None] = getattr(import_module(f"medmamba_monai.cli.{FILES[name]}"), _name_function(name))
    return function


class Commands(TyperGroup):
    """The commands as a group that imports the one that is run, and none to list them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: Command(name, help=read_summary(name)) for name in FILES}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the arguments name, imported, with its name and its arguments."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name and listed else listed, rest
