"""Folders of reference numbers and real images, which stay outside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED_VARIABLE = "MEDMAMBA_SHARED_DIR"


def _shared_folder(name: str) -> Path:
    root = os.environ.get(SHARED_VARIABLE)
    if not root:
        pytest.skip(f"{SHARED_VARIABLE} is not set: the folder with reference/ and data/ is not in the repository")
    folder = Path(root) / name
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist ({SHARED_VARIABLE})")
    return folder


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Numbers computed with the official network, and the official metadata schema."""
    return _shared_folder("reference")


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """The official PneumoniaMNIST file, read-only."""
    return _shared_folder("data")
