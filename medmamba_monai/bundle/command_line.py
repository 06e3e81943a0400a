"""What MONAI lets pass on the command line of ``python -m monai.bundle run``.

MONAI takes an option that no config knows for a new value and says nothing. A config cannot see the options that it was
given, so that the command line of this process is read once more here, for the names alone: values are checked by the
tables of options, wherever they come from.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser

from medmamba_monai.bundle.commands import COMMANDS
from medmamba_monai.core.config_text import check_config_text
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.options import takes_text, to_text
from medmamba_monai.core.suggestions import suggest_name
from medmamba_monai.training import PauseTraining

TEXTS = {name for command in COMMANDS.values() for name, row in command.rows.items() if takes_text(row)}
"""Options that take any text."""
_FLAG = re.compile(r"--|-[A-Za-z]")
_PAUSE = re.compile(r"--?pause[_-]after(=.*)?", re.DOTALL)
_RESUME = re.compile(r"--?(no-?)?resume(=.*)?")
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
    """Check a name, and a value unless it is an expression, a reference or a dict, which are MONAI's to read."""
    name = re.split("[#:]", option)[0]
    switched_off = value is None and name.startswith("no") and name[2:] in known
    if option == "network":
        raise UserError(f"--network {value}: a network is chosen by its name: --network_name {value}")
    if name not in known | OF_MONAI and not switched_off:
        raise UserError(f"--{name}: is no value of the config; {suggest_name(name, known, '--')}")
    if value is not None and value.startswith(("$", "@", "%", "{")):
        return
    if value is not None and name not in OF_MONAI:
        _check_value(name, value)
    if name in TEXTS and name == option:
        _check_text(name, value)


def _check_text(name: str, value: str | None) -> None:
    """Refuse what Fire makes something else of than is written: 2024.10 becomes 2024.1, and an option alone True."""
    if value is None:
        raise UserError(f"--{name}: needs a value behind it")
    read = DefaultParseValue(value)
    quoted = isinstance(read, str) and value[:1] in ("'", '"')
    if value and not quoted and to_text(read) != value:
        raise UserError(
            f"--{name} {value}: MONAI's command line reads it as {read!r}; put quotes around it twice, "
            f"as in --{name} \"'2024.10'\""
        )


def _check_value(name: str, value: str) -> None:
    """Refuse what MONAI would take for something else."""
    if "#" in value and name.endswith(("_dir", "_root", "_path", "_list")):
        raise UserError(f"--{name} {value}: a path with # cannot be used, as MONAI reads it as ::; rename it")
    try:
        check_config_text(value)
    except ValueError as error:
        raise UserError(f"--{name} {value}: {error}") from error


def print_next_step(
    weights: str, within: bool, pause: PauseTraining | None = None, arguments: Sequence[str] | None = None
) -> None:
    """Say where a training left its weights, and the command that evaluates them, or that goes on after a pause.

    Args:
        weights: the file.
        within: whether the training is part of a cross-validation, which says all of this at its end.
        pause: says whether the training has epochs left; None, as bundles of an earlier version give it: it has not.
        arguments: the command line, by default that of this process.
    """
    if within or int(os.environ.get("RANK", "0")) > 0 or not Path(weights).is_file():
        return
    given = sys.argv if arguments is None else arguments
    if pause is not None and pause.paused:
        _print_paused(weights, given)
        return
    command = make_evaluation_command(given)
    print(f"weights of the best epoch: {weights}\nnext, their metrics: {command}", flush=True)


def print_pretrained(
    folder: str, weights: str, pause: PauseTraining | None = None, arguments: Sequence[str] | None = None
) -> None:
    """Say where a pretraining left its weights, and how a training starts from them, or how it goes on after a pause.

    Args:
        folder: of all its folds.
        weights: the file; where it was told to stand elsewhere than in ``folder``, it is what a training starts from.
        pause: as for `print_next_step`.
        arguments: the command line, by default that of this process.
    """
    if pause is not None and pause.paused:
        _print_paused(weights, sys.argv if arguments is None else arguments)
        return
    start = folder if Path(folder) in Path(weights).parents else weights
    print(
        f"weights of the best epoch: {weights}\nnext, a training that starts from them: --pretrained {start}",
        flush=True,
    )


def _print_paused(weights: str, arguments: Sequence[str]) -> None:
    command = make_continuing_command(arguments)
    print(f"paused; weights of the best epoch so far: {weights}\nnext, the epochs that are left: {command}", flush=True)


def make_continuing_command(arguments: Sequence[str]) -> str:
    """Return the command that trains to the end what a command has paused.

    Args:
        arguments: the command line that paused, with the program.
    """
    program, *rest = arguments
    within_monai = Path(program).parts[-3:-1] == ("monai", "bundle")
    if not within_monai and rest[:1] not in (["train"], ["pretrain"]):
        return "the same call without pause_after"
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return "the same command without --pause_after"
    left: list[str] = []
    dropped = ""
    for text in rest:
        value = (_PAUSE.fullmatch(dropped) and "=" not in dropped) or (dropped and text in ("True", "False"))
        dropped = text if not value and (_PAUSE.fullmatch(text) or _RESUME.fullmatch(text)) else ""
        left += [] if value or dropped else [text]
    return shlex.join([*(["python", "-m", "monai.bundle"] if within_monai else ["medmamba-monai"]), *left])


def make_evaluation_command(arguments: Sequence[str]) -> str:
    """Return the command that evaluates what a command trained.

    Args:
        arguments: the command line that trained, with the program.
    """
    program, *rest = arguments
    if Path(program).parts[-3:-1] != ("monai", "bundle"):
        if rest[:1] == ["train"]:
            return shlex.join(["medmamba-monai", "evaluate", *rest[1:]])
        return "Bundle.evaluate, with the options that were given to train"
    names = [number for number, text in enumerate(rest) if re.fullmatch(r"--?config[_-]file(=.*)?", text, re.DOTALL)]
    if not names:
        return "the same with configs/evaluate.json after configs/train.json"
    place = names[-1] if "=" in rest[names[-1]] else names[-1] + 1
    value = rest[place].partition("=")[2] if "=" in rest[names[-1]] else rest[place]
    files = list(ast.literal_eval(value)) if value.startswith("[") else [value]
    merged = json.dumps([*files, str(Path(files[0]).with_name("evaluate.json"))], separators=(",", ":"))
    rest[place] = f"--config_file={merged}" if "=" in rest[names[-1]] else merged
    given = [text for number, text in enumerate(rest) if number or text != "run"]
    others = given[1:] if given[:1] == ["training"] else given
    return shlex.join(["python", "-m", "monai.bundle", "run", "evaluating", *others])


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
        value = match[2][1:] if match[2] else next((text for text in following if not _FLAG.match(text)), None)
        options[match[1].replace("-", "_")] = value
    return options


def _read_keys(options: Mapping[str, str | None]) -> set[str]:
    """Return the top-level keys of the config files; none where there are none, or an ``args_file`` may name others."""
    value = options.get("config_file")
    if value is None or "args_file" in options:
        return set()
    files = ast.literal_eval(value) if value.startswith("[") else value
    return set(ConfigParser.load_config_files(files))
