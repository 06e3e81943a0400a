"""Options of ``python -m monai.bundle run`` that no config knows: MONAI takes them for new values and says nothing."""

from __future__ import annotations

import ast
import difflib
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from medmamba_monai.errors import UserError

OF_MONAI = {
    "args_file",
    "config_file",
    "final_id",
    "init_id",
    "logging_file",
    "meta_file",
    "run_id",
    "tracking",
    "workflow_type",
}
"""What ``monai.bundle run`` itself takes."""


def check_command_line(arguments: Sequence[str] | None = None) -> None:
    """Refuse an option that is no key of the config files, such as ``--epoch 5`` for ``--epochs 5``.

    Args:
        arguments: a command line after the program's name; by default that of this process, where it is a
            ``monai.bundle run`` with config files.

    Raises:
        UserError: an option is unknown; names the nearest that is known.
    """
    if arguments is None:
        program = Path(sys.argv[0])
        arguments = sys.argv[1:] if program.parts[-3:-1] == ("monai", "bundle") else []
    known = _keys(arguments)
    for name in _options(arguments) if known else ():
        if name not in known | OF_MONAI:
            near = difflib.get_close_matches(name, known, 1)
            advice = f"did you mean --{near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise UserError(f"--{name}: is no value of the config; {advice}")


def _options(arguments: Sequence[str]) -> Iterable[str]:
    """Top-level names of the options: ``train`` for ``--train#trainer#amp``."""
    return [re.split("[#:=]", argument[2:])[0] for argument in arguments if argument.startswith("--")]


def _keys(arguments: Sequence[str]) -> set[str]:
    """Top-level keys of the config files; none where there are none, or an ``args_file`` may name others."""
    if "--config_file" not in arguments or "--args_file" in arguments:
        return set()
    value = arguments[arguments.index("--config_file") + 1]
    files = ast.literal_eval(value) if value.startswith("[") else value.split(",")
    contents = [json.loads(Path(file).read_text(encoding="utf-8")) for file in files if Path(file).suffix == ".json"]
    if len(contents) < len(files):
        return set()
    return {re.split("[#:]", key.lstrip("+~"))[0] for content in contents for key in content}
