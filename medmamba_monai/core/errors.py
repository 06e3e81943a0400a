"""The one exception for what a user can put right, and how the commands show it."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec

_Arguments = ParamSpec("_Arguments")
_OF_FOLDERS = (NotADirectoryError, FileExistsError, PermissionError)
"""What making a folder fails with: a file stands in its way, or it is not allowed."""


class UserError(ValueError):
    """Something the user can fix: a file, an option or an installation.

    The message is one line or a few: it names the file or the option, shows the value that was found and says what
    to do. Command-line entry points print the message alone and exit with code 2; in Python it is an ordinary
    ``ValueError``.
    """


_IN_WORKER = re.compile(
    rf"Original Traceback.*^{re.escape(UserError.__module__)}\.UserError: (?P<message>.+?)\s*"
    r"(\n\nThe above exception|\Z)",
    re.DOTALL | re.MULTILINE,
)


def find_user_error(error: BaseException | None) -> UserError | None:
    """Return the `UserError` that an exception is or was raised from; None where there is none.

    MONAI's config parser and Ignite wrap what they meet in exceptions of their own, and of what a DataLoader worker
    raised only the printed traceback arrives.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if match := _IN_WORKER.search(str(error)):
            return UserError(match["message"])
        if isinstance(error, UserError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def get_first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or its kind where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def format_error(error: UserError) -> str:
    """Return the message for people."""
    return f"error: {error}"


def ends_with_user_errors(main: Callable[_Arguments, int]) -> Callable[_Arguments, int]:
    """Decorate the main function of a command: of what the user can fix it prints the message, and returns 2."""

    @functools.wraps(main)
    def explained(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except _OF_FOLDERS as error:
            if error.filename is None:
                raise
            said = f"{error.filename}: {error.strerror or error}; choose another folder"
            print(format_error(UserError(said)), file=sys.stderr)
            return 2
        except Exception as error:
            if (known := find_user_error(error)) is None:
                raise
            print(format_error(known), file=sys.stderr)
            return 2

    return explained


def explain_user_errors() -> None:
    """Let uncaught user errors end the process with their message alone; all others keep their traceback.

    For processes that this package does not start itself, such as ``python -m monai.bundle run``.
    """
    sys.excepthook = _print_user_error


def _print_user_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    known = find_user_error(error)
    if known is None:
        sys.__excepthook__(kind, error, trace)
    else:
        print(format_error(known), file=sys.stderr)
