"""A listener that is killed at each of its steps: the study is answered, and no other answer of it is ever seen."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest

from medmamba_monai.hospital.listener import ListenerSettings, Peer, durable
from medmamba_monai.hospital.listener.state import Case
from tests.helpers.listeners import STUDY, Pacs, finish, give, image, names, prepare, settings, write_answer

IMAGES = (1, 2)
LEAST_STEPS = 25
MOST_STEPS = 100


class Killing:
    """Kills its own process at one of the steps on the disk: before and after each, and in the midst of a file.

    Args:
        step: number of the step, from 0.
    """

    def __init__(self, step: int) -> None:
        self._left = step

    def pass_step(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*arguments: Any) -> Any:
            self.pass_step()
            found = function(*arguments)
            self.pass_step()
            return found

        return stepping

    def write(self, path: Path, *parts: bytes) -> None:
        path.write_bytes(parts[0][: len(parts[0]) // 2])
        self.pass_step()
        path.write_bytes(b"".join(parts))
        self.pass_step()

    def answer(self, study: Path, output: Path) -> list[Path]:
        paths = write_answer(study, output)
        self.pass_step()
        return paths


def work_until_killed(told: ListenerSettings, step: int, accepted: Path) -> int:
    """Receive, answer and send the study in a process of its own; returns its exit code, negative for a signal."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        killing = Killing(step)
        durable.move, durable.remove = killing.around(durable.move), killing.around(durable.remove)
        durable.write, Case.write_record = killing.write, killing.around(Case.write_record)
        listener = prepare(told, killing.answer)
        for number in IMAGES:
            assert give(listener, image(number=number)) == [0]
            accepted.write_text(str(number))
        finish(listener)
    finally:
        os._exit(not names(told.state / "answered"))


@pytest.mark.slow
def test_a_study_is_answered_once_wherever_the_process_is_killed(tmp_path):
    with Pacs().serving() as pacs:
        for step in range(MOST_STEPS):
            folder = tmp_path / str(step)
            folder.mkdir()
            told = settings(folder, send_to=Peer("PACS", "127.0.0.1", pacs.port))
            code = work_until_killed(told, step, folder / "accepted")
            if code == 0:
                break
            assert code == -signal.SIGKILL
            check_next_process(folder, told, pacs)
    assert LEAST_STEPS < step < MOST_STEPS - 1


def check_next_process(folder: Path, told: ListenerSettings, pacs: Pacs) -> None:
    """Let another process go on, and see that there is one answer, of all images, wherever one looks."""
    known = int((folder / "accepted").read_text()) if (folder / "accepted").exists() else 0
    before = set(pacs.stored)
    listener = prepare(told)
    give(listener, *(image(number=number) for number in IMAGES if number > known))  # as senders do
    finish(listener)
    listener.remove_old_images()
    reports = [pydicom.dcmread(path) for path in told.dicom_out.rglob("*") if path.is_file()]
    assert [int(report.InstanceNumber) for report in reports] == [len(IMAGES)]
    assert pacs.stored[reports[0].SOPInstanceUID] in (1, 2)
    assert set(pacs.stored) - before <= {reports[0].SOPInstanceUID}
    assert names(told.dicom_out) == names(told.state / "answered") == [f"{STUDY}-1"]
    assert list(told.state.rglob("*.dcm")) == []
    assert listener.waiting.count_open() == 0


def test_what_was_not_told_to_its_sender_is_sent_again_and_answered_once(tmp_path):
    """The process is killed after the image is on the disk and before the sender knows."""
    listener = prepare(settings(tmp_path))
    give(listener, image())
    again = prepare(settings(tmp_path))
    assert give(again, image()) == [0]
    finish(again)
    assert names(tmp_path / "out") == [f"{STUDY}-1"]


def test_leftovers_of_a_file_that_was_being_written_are_removed(tmp_path):
    listener = prepare(settings(tmp_path))
    (listener.state.incoming / "half.dcm").write_bytes(b"half")
    assert names(prepare(settings(tmp_path)).state.incoming) == []


@pytest.mark.parametrize("place", ["sending", "answered"])
def test_retention_ends_what_a_killed_process_began(tmp_path, place):
    listener = prepare(settings(tmp_path))
    give(listener, image())
    listener.answer_next()
    case = Case(listener.state.sending / f"{STUDY}-1")
    if place == "answered":
        listener.state.pass_on(case, listener.state.answered)
    again = prepare(settings(tmp_path))
    finish(again)
    again.remove_old_images()
    assert list((tmp_path / "state").rglob("*.dcm")) == []
