"""JSON files that people edit, and the paths in them: checked on the way in."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import quote_from_bytes, unquote_to_bytes

from pydantic import BaseModel, ValidationError

from medmamba_monai.core.errors import UserError

Model = TypeVar("Model", bound=BaseModel)

_SHOWN_ERRORS = 5
_ENCODED = "bytes:"
_LEFT_BY_SYSTEMS = frozenset(
    (
        *("@eadir", "#recycle", "#snapshot", "@tmp", "@sharebin", "@synoeadir"),  # Synology
        *("@recycle", "@recently-snapshot", "@appcenter"),  # QNAP
        *("__macosx", "icon\r", "network trash folder", "temporary items", "thevolumesettingsfolder"),  # macOS
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),  # Windows
        *("$recycle.bin", "recycler", "system volume information"),
        *("lost+found", "__pycache__"),
    )
)


def read_document(path: Path, model: type[Model], extra: dict[str, Any] | None = None) -> Model:
    """Read a JSON file and check it against a pydantic model.

    Args:
        path: the file.
        model: what the file must be.
        extra: fields of the model that are not in the file.

    Raises:
        UserError: the file is missing, is not JSON or does not fit; names the file, the fields and the values.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: is not JSON: {error}") from error
    except RecursionError as error:
        raise UserError(f"{path}: is nested too deeply to be what it should be; download it again") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: must hold one JSON object, found a {type(content).__name__}")
    try:
        return model.model_validate({**content, **(extra or {})})
    except ValidationError as error:
        raise UserError(f"{path}: {summarize_validation_error(error)}") from error


def summarize_validation_error(error: ValidationError) -> str:
    """Return what does not fit, in one line: fields, values and why."""
    details = error.errors(include_url=False)
    lines = [_format_detail(detail["loc"], detail["msg"], detail["input"]) for detail in details[:_SHOWN_ERRORS]]
    if len(details) > _SHOWN_ERRORS:
        lines.append(f"and {len(details) - _SHOWN_ERRORS} more")
    return "; ".join(lines)


def _format_detail(location: tuple[int | str, ...], message: str, found: object) -> str:
    where = ".".join(str(part) for part in location)
    text = message.removeprefix("Value error, ")
    if isinstance(found, (dict, list)):
        return f"{where}: {text}" if where else text
    return f"{where}: {text} (found {found!r})"


def check_relative(value: str) -> str:
    """Return a path in the written form that stays below the folder it is relative to, unchanged.

    Raises:
        ValueError: it is empty, absolute, has a drive or a backslash, or climbs with ``..``.
    """
    written = value.startswith(_ENCODED)
    path = PurePosixPath(text_to_path(value))
    foreign = not written and ("\\" in value or ":" in value.split("/")[0])
    if not value or path.is_absolute() or ".." in path.parts or "\0" in str(path) or foreign:
        raise ValueError("must be a relative path with / that stays inside the dataset folder")
    return value


def path_to_text(path: PurePath) -> str:
    """Write a relative path so that JSON can hold it and every system reads it alike.

    A name that is no UTF-8, or has a backslash or a drive's colon, is percent-encoded after ``bytes:``.
    """
    text = path.as_posix()
    plain = "\\" not in text and ":" not in text.split("/")[0] and not any("\udc80" <= c <= "\udcff" for c in text)
    return text if plain else _ENCODED + quote_from_bytes(os.fsencode(text))


def text_to_path(text: str) -> str:
    """Read what `path_to_text` wrote."""
    return os.fsdecode(unquote_to_bytes(text.removeprefix(_ENCODED))) if text.startswith(_ENCODED) else text


def is_hidden(path: PurePath) -> bool:
    """Return whether a part of a path was left by a system, a file browser, a network drive or a notebook: no data.

    That is what starts with a dot, and the names of thumbnails, bins and snapshots that such systems use.
    """
    return any(part.startswith((".", "~$")) or part.casefold() in _LEFT_BY_SYSTEMS for part in path.parts)


def join_inside(folder: Path, relative: str, allow_links: bool = False) -> Path:
    """Join a relative path to a folder and make sure that it does not lead out of it.

    Args:
        folder: the folder.
        relative: the path in the written form, see `path_to_text`.
        allow_links: whether it may lead out through a symbolic link.

    Raises:
        UserError: it does; names the path and the folder.
    """
    try:
        path = folder / text_to_path(check_relative(relative))
    except ValueError as error:
        raise UserError(f"{relative!r}: {error} {folder}") from error
    if not allow_links and not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            f"{path}: is a link that leaves the dataset folder {folder}: put the file itself there, or run prepare "
            "with --allow_links True"
        )
    return path
