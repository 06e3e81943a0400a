"""The lock that lets one process at a time work in the folder of a run."""

from __future__ import annotations

from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder


def lock_folder(directory: str | Path, what: str = "run", patience: float = 0.0) -> AcquireReturnProxy:
    """Take the folder of a run for this process: who else wants it is told so.

    A process that holds it already takes it once more, as the training within the process of a fold does.

    Args:
        directory: the folder, which is made where it is not there.
        what: what runs in it, for the message.
        patience: seconds to wait for who has it.

    Returns:
        What holds it until the end of a ``with`` statement.

    Raises:
        UserError: it is in use, or cannot be written.
    """
    try:
        return FileLock(RunFolder(Path(directory).resolve()).lock, is_singleton=True).acquire(timeout=patience)
    except Timeout:
        raise UserError(f"{directory} is in use: this {what} is running already") from None
    except OSError as error:
        raise UserError(
            f"cannot write in {directory}: {error.strerror}; choose another folder with --output_dir"
        ) from error
