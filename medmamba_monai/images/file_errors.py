"""One-line errors that name the file, whatever a library raised."""

from __future__ import annotations

import contextlib
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path

BAD_CONTENT: tuple[type[Exception], ...] = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
)
"""What decoders raise for content that is damaged, beside errors of their own."""


_SPECIAL = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_regular_file(path: Path) -> None:
    """Refuse what is no file, before it is opened: a pipe or a device could keep a reader waiting for ever.

    Raises:
        UserError: it is a folder, a pipe, a socket or a device, is missing, or cannot be looked at.
    """
    name = format_path(path)
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{name}: does not exist") from error
    except PermissionError as error:
        raise UserError(f"{name}: may not be read; change its permissions") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{name}: cannot be read ({error})") from error
    if kind in _SPECIAL:
        raise UserError(f"{name}: is {_SPECIAL[kind]}, not a file to read")


@contextlib.contextmanager
def explain_file_errors(path: Path, what: str, *more: type[Exception], quote: bool = True) -> Iterator[None]:
    """Turn exceptions of the block into a `UserError` that names the file.

    Args:
        path: the file that the block reads.
        what: what it should be, such as "a DICOM file".
        more: exceptions beside `BAD_CONTENT`.
        quote: whether to tell what the exception says, rather than its kind alone.
    """
    name = format_path(path)
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{name}: does not exist, or a file that belongs to it") from error
    except PermissionError as error:
        raise UserError(f"{name}: may not be read; change its permissions") from error
    except MemoryError as error:
        raise UserError(f"{name}: does not fit into memory ({error})") from error
    except (*BAD_CONTENT, *more) as error:
        said = format_path(" ".join(str(error).split())) if quote else ""
        reason = said or type(error).__name__
        raise UserError(
            f"{name}: is damaged, or {what} of a rare kind ({reason}); download it again or convert it"
        ) from error
