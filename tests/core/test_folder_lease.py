"""A folder held against other machines: another host is a process that says to be one."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.folder_lease import hold_folder, lease_folder
from medmamba_monai.core.run_folder import RunFolder

SECONDS = 0.6
ELSEWHERE = f"""
import socket, sys, time
socket.gethostname = lambda: "elsewhere"
from filelock import SoftFileLease
lease = SoftFileLease(sys.argv[1], lease_duration={SECONDS}, on_compromise=lambda loss: print("lost", flush=True))
lease.acquire()
print("held", flush=True)
time.sleep(60)
"""


def read_line(process: subprocess.Popen[str]) -> str:
    """What the other machine says next, within 20 seconds."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 20)[0], "it said nothing"
    return process.stdout.readline().strip()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", ELSEWHERE, str(RunFolder(tmp_path).lease)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert read_line(process) == "held"
        yield process
        process.kill()


def test_who_lives_on_another_machine_keeps_the_folder(
    tmp_path: Path, holder: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        pytest.raises(UserError, match="this fold is running already, on another machine"),
        lease_folder(tmp_path, "fold", patience=3 * SECONDS, seconds=SECONDS),
    ):
        raise AssertionError("both hold it")
    assert f"{tmp_path} is another machine's; whether it lives is seen within 2 s" in capsys.readouterr().out


def test_who_died_on_another_machine_loses_it_after_a_time(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    began = time.monotonic()
    with lease_folder(tmp_path, "fold", patience=10 * SECONDS, seconds=SECONDS):
        assert time.monotonic() - began > SECONDS / 2


def test_who_stood_still_hears_that_it_lost_the_folder(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGSTOP)
    with lease_folder(tmp_path, "fold", patience=10 * SECONDS, seconds=SECONDS):
        holder.send_signal(signal.SIGCONT)
        assert read_line(holder) == "lost"


def test_a_process_that_lost_its_folder_is_asked_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    try:
        with lease_folder(tmp_path, "fold", patience=1, seconds=SECONDS):
            RunFolder(tmp_path).lease.unlink()
            ends = time.monotonic() + 10
            while not asked and time.monotonic() < ends:
                time.sleep(0.05)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert asked == [signal.SIGTERM]


def test_on_one_machine_the_lock_answers_and_no_lease_is_written(tmp_path: Path) -> None:
    with hold_folder(tmp_path, "run", machines=False, patience=0):
        assert not RunFolder(tmp_path).lease.exists()
    with hold_folder(tmp_path, "run", machines=True, patience=0):
        assert RunFolder(tmp_path).lease.exists()
    assert not RunFolder(tmp_path).lease.exists()
