"""Values that name folders, files and servers of this machine, and so must not reach a tracking server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "(on the user's machine, not logged)"

PRIVATE = (
    "bundle_root",
    "dataset_dir",
    "data_list",
    "output_dir",
    "ckpt_dir",
    "ckpt_path",
    "encoder",
    "parent_dir",
    "pretrained",
    "ray_address",
    "tracking_uri",
)
"""Parameters whose values are private wherever they are."""

_PATH = re.compile(r"^(/|~|\.\.?/|\.\.$|[A-Za-z]:[\\/]|\\\\|file:)")
_LITERAL = re.compile(r"'[^']*'|\"[^\"]*\"")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)("|$)')
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def hide_private_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a config without the values that name folders, files and servers.

    Hidden are the values of `PRIVATE`, every text that is a path outside the current folder, and every text that
    contains one of those. Expressions that only refer to other values (``$@output_dir + '/x'``) name nothing and stay.
    """
    hidden = {key for key in PRIVATE if key in config and not _is_harmless(str(config[key]))}
    secrets = tuple(str(config[key]) for key in hidden if len(str(config[key])) > 1)
    return {key: HIDDEN if key in hidden else _hide_within(value, secrets) for key, value in config.items()}


def _hide_within(value: Any, secrets: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping):
        return {key: _hide_within(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hide_within(item, secrets) for item in value]
    if not isinstance(value, str):
        return value
    private = not _is_harmless(value) and (_names_a_path(value) or any(secret in value for secret in secrets))
    return HIDDEN if private else value


def _is_harmless(value: str) -> bool:
    """Return whether a text names nothing: the current folder, none, what is found, or what other values make."""
    if value.startswith("$"):
        return "@" in _LITERAL.sub("", value) and not _names_a_path(value)
    return value in ("", ".", "None", "auto") or value.startswith(("@", "%"))


def _names_a_path(value: str) -> bool:
    if not value.startswith("$"):
        return _PATH.match(value) is not None
    literals = _LITERAL.finditer(value)
    # what follows a plus is the end of a path that another value begins
    return any(_PATH.match(text[0][1:-1]) and not value[: text.start()].rstrip(" (").endswith("+") for text in literals)


def hide_quoted_paths(text: str) -> str:
    r"""Return a text without the paths that it quotes, such as JSON of values that a user gave, cut off or whole.

    Example:
        >>> hide_quoted_paths('{"weights": "/home/Mueller/a.pt", "gamma": 2}')
        '{"weights": "(on the user\'s machine, not logged)", "gamma": 2}'
    """
    return _QUOTED.sub(lambda match: f'"{HIDDEN}{match[2]}' if _PATH.match(match[1]) else match[0], text)


def hide_credentials(uri: str) -> str:
    """Return an address without user name and password."""
    return _CREDENTIALS.sub("", uri)
