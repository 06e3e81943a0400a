"""Why a run failed, in words that name no file, no folder and no patient."""

from __future__ import annotations

import re

from medmamba_monai.core.errors import find_user_error
from medmamba_monai.tracking.private_values import hide_credentials

LONGEST_REASON = 500

_FILE = re.compile(r"\S*[/\\]\S*|\S*\.[A-Za-z][A-Za-z0-9]+\b")


def describe_failure(error: BaseException) -> str:
    """Return why a run ended with an exception, to be logged where others read it.

    What the user can put right says so in its own words, without what it says up to the last file or folder of a line,
    since such a name may hold spaces and name a patient. Of anything else only the kind is told: its text may hold any
    value.
    """
    if isinstance(error, KeyboardInterrupt):
        return "stopped"
    if isinstance(error, SystemExit):
        return f"stopped (exit code {error.code})"
    known = find_user_error(error)
    if known is None:
        return f"{type(error).__name__}; the log on the machine that it ran on says more"
    return hide_files(str(known))[:LONGEST_REASON]


def hide_files(text: str) -> str:
    """Return a text whose lines begin after the last file or folder that they name.

    Example:
        >>> hide_files("/data/Max Mueller.png: cannot be read")
        '(a file of that machine) cannot be read'
        >>> hide_files("the loss is nan in epoch 1, batch 2 (samples train-0001)")
        'the loss is nan in epoch 1, batch 2 (samples train-0001)'
    """
    return "\n".join(_hide_in_line(line) for line in hide_credentials(text).splitlines())


def _hide_in_line(line: str) -> str:
    found = list(_FILE.finditer(line))
    return f"(a file of that machine) {line[found[-1].end() :].lstrip(' :,;)')}".rstrip() if found else line
