"""The check that a node sees the files that the cross-validation was planned with."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from medmamba_monai.core.errors import UserError


def digest_files(paths: Iterable[str | Path]) -> dict[str, str]:
    """Return the SHA-256 of each file, by its path."""
    return {str(path): hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths}


def check_shared_files(digests: Mapping[str, str]) -> None:
    """Check on a node that files are the same as where they were digested.

    Args:
        digests: what `digest_files` found.

    Raises:
        UserError: this machine does not see one, or another in its place.
    """
    here = socket.gethostname()
    for path, digest in digests.items():
        if not Path(path).is_file():
            raise UserError(f"{path}: node {here} does not see it; put it in a folder that all nodes see at one place")
        if digest_files([path])[path] != digest:
            raise UserError(
                f"{path}: node {here} sees another file there than the machine that started the folds; put it in a "
                "folder that all nodes see at one place"
            )
