"""What MONAI lets pass on the command line of ``python -m monai.bundle run``.

MONAI takes an option that no config knows for a new value and says nothing. A config cannot see the options that it was
given, so that the command line of this process is read once more here, for the names alone: values are checked by the
tables of options, wherever they come from.
"""

from __future__ import annotations

import ast
import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai.bundle import ConfigParser

from medmamba_monai.core.config_text import check_config_text
from medmamba_monai.core.errors import UserError

OF_MONAI = {
    "_meta_",
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
    options = _read_options(arguments)
    known = _read_keys(options)
    for option, value in options.items() if known else ():
        _check_option(option, value, known)


def _check_option(option: str, value: str | None, known: set[str]) -> None:
    name = re.split("[#:]", option)[0]
    switched_off = value is None and name.startswith("no") and name[2:] in known
    if option == "network":
        raise UserError(f"--network {value}: a network is chosen by its name: --network_name {value}")
    if name not in known | OF_MONAI and not switched_off:
        near = difflib.get_close_matches(name, known, 1)
        advice = f"did you mean --{near[0]}?" if near else f"known are {', '.join(sorted(known))}"
        raise UserError(f"--{name}: is no value of the config; {advice}")
    if value is not None and name not in OF_MONAI and not value.startswith(("$", "@", "%", "{")):
        _check_value(name, value)


def _check_value(name: str, value: str) -> None:
    """Refuse what MONAI would take for something else; expressions, references and dicts are left to it."""
    if "#" in value and name.endswith(("_dir", "_root", "_path", "_list")):
        raise UserError(f"--{name} {value}: a path with # cannot be used, as MONAI reads it as ::; rename it")
    try:
        check_config_text(value)
    except ValueError as error:
        raise UserError(f"--{name} {value}: {error}") from error


def decline_tracking() -> bool:
    """Say that the handlers which ``--tracking`` appends stay off; returns True, which switches them off.

    A bundle tracks itself. MONAI's handlers would log a second set of runs, and the config as it ran with the folders
    of this machine. A config gives the answer as ``is_not_rank0``, which those handlers ask.
    """
    print("--tracking: this bundle logs to MLflow by itself (--tracking_uri); MONAI's handlers stay off", flush=True)
    return True


def _read_options(arguments: Sequence[str]) -> dict[str, str | None]:
    """Return the values of all options by name, as Fire reads them: ``--a 1``, ``--a=1``, ``--noa``, ``-a 1``."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    options: dict[str, str | None] = {}
    for position, argument in enumerate(own):
        if not (match := re.fullmatch(r"--?([A-Za-z_][^=]*)(=.*)?", argument, re.DOTALL)):
            continue
        following = own[position + 1 : position + 2]
        value = match[2][1:] if match[2] else next((text for text in following if not text.startswith("--")), None)
        options[match[1].replace("-", "_")] = value
    return options


def _read_keys(options: Mapping[str, str | None]) -> set[str]:
    """Return the top-level keys of the config files; none where there are none, or an ``args_file`` may name others."""
    value = options.get("config_file")
    if value is None or "args_file" in options:
        return set()
    files = ast.literal_eval(value) if value.startswith("[") else value
    return set(ConfigParser.load_config_files(files))
