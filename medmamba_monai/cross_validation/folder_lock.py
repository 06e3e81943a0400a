"""The lock that lets one process at a time work in the folder of a cross-validation."""

from __future__ import annotations

from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder


def lock_folder(directory: Path) -> AcquireReturnProxy:
    """Take the folder of a cross-validation for this process: who else wants it is told so.

    Raises:
        UserError: it is in use, or cannot be written.
    """
    try:
        return FileLock(RunFolder(directory).lock).acquire(timeout=0)
    except Timeout:
        raise UserError(f"{directory} is in use: this cross-validation is running already") from None
    except OSError as error:
        raise UserError(
            f"cannot write in {directory}: {error.strerror}; choose another folder with --output_dir"
        ) from error
