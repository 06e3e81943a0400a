"""The segmentation example, run as its readers run it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.helpers.small_bundle import ROOT, run_command


@pytest.mark.apart
def test_the_example_learns_to_outline_discs(tmp_path: Path) -> None:
    _, printed = run_command([sys.executable, str(ROOT / "examples" / "segmentation.py")], tmp_path)
    dice = re.search(r"Dice of the discs: (\d\.\d+)", printed)
    assert dice is not None, printed
    assert float(dice[1]) > 0.9
