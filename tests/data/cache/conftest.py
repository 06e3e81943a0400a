"""What the tests of the cache share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.row_stores import Draw


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    return Draw(tmp_path / "drawn.txt")
