"""The segmentation example, run as its readers run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_example_learns_to_outline_discs() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "segmentation.py")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    dice = re.search(r"Dice of the discs: (\d\.\d+)", result.stdout)
    assert dice is not None, result.stderr
    assert float(dice[1]) > 0.9
