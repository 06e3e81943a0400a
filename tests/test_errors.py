from __future__ import annotations

import subprocess
import sys

from medmamba_monai.errors import UserError, error_message, find_user_error

SCRIPT = """
from medmamba_monai.errors import UserError, explain_user_errors
explain_user_errors()
try:
    raise {inner}
except Exception as error:
    raise RuntimeError("wrapped") from error
"""


def run(inner: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", SCRIPT.format(inner=inner)], capture_output=True, text=True)


def test_a_user_error_is_printed_alone_also_when_wrapped():
    result = run("UserError('folds.json: run prepare first')")
    assert result.stderr == "error: folds.json: run prepare first\n"
    assert result.returncode == 1


def test_a_bug_keeps_its_traceback():
    result = run("KeyError('bug')")
    assert "Traceback" in result.stderr
    assert result.returncode == 1


def test_an_unrelated_error_is_no_user_error():
    assert find_user_error(RuntimeError("x")) is None


def test_the_traceback_of_a_worker_is_left_out():
    text = "Caught UserError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  File\n"
    message = error_message(UserError(text + "medmamba_monai.errors.UserError: a.png: is truncated\n"))
    assert message == "error: a.png: is truncated"
