"""The one exception for what a user can put right."""

from __future__ import annotations


class UserError(ValueError):
    """Something the user can fix: a file, an option or an installation.

    The message is one line or a few: it names the file or the option, shows the value that was found and says what
    to do. Command-line entry points print the message alone and exit with code 2; in Python it is an ordinary
    ``ValueError``.
    """
