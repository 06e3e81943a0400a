"""The project's tests, run on the machine with the GPU."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
WITH_GPU = ("-n", "0", "-m", "gpu", "tests/selective_scan", "tests/networks", "tests/training")
"""Arguments of pytest for the tests that need a GPU, in the folders that have some."""
TEST_SECONDS, LAST_LINES = 3000, 15


def run_tests(arguments: Sequence[str] = (), seconds: float | None = None) -> dict[str, Any]:
    """Run tests in a process of their own.

    Args:
        arguments: which; none for the whole suite.
        seconds: how long they may take, None for :data:`TEST_SECONDS`.

    Returns:
        Exit code and last lines.
    """
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", *arguments]
    limit = TEST_SECONDS if seconds is None else min(seconds, TEST_SECONDS)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=limit)
    lines = done.stdout.strip().splitlines()[-LAST_LINES:]
    print("\n".join(lines))
    return {"exit_code": done.returncode, "last_lines": lines}
