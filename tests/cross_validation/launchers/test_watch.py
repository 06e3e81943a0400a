"""Folds as jobs and who watches them, with submitit's executor of this machine in place of a cluster."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.signals import STOP_SIGNALS, catch_signals, interrupt
from medmamba_monai.cross_validation.fold_job import FoldJob
from medmamba_monai.cross_validation.launchers import SCHEDULERS, watch
from medmamba_monai.cross_validation.launchers.watch import WatchedJobs
from medmamba_monai.cross_validation.options import LAUNCHERS, LOCAL
from tests.helpers.local_jobs import LocalJobs, make_job, read_job, replace_fold_process


@pytest.fixture(autouse=True)
def light(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(replace_fold_process(tmp_path / "python"))  # where -m looks first
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)


@pytest.fixture
def scheduler(tmp_path: Path) -> LocalJobs:
    return LocalJobs(tmp_path)


def begun(job: FoldJob) -> None:
    ends = time.monotonic() + 60
    while not (job.directory / "began").exists():
        assert time.monotonic() < ends, "the fold did not begin"
        time.sleep(0.02)


def run(scheduler: LocalJobs, jobs: list[FoldJob], afresh: bool = False) -> dict[int, int]:
    codes: dict[int, int] = {}
    WatchedJobs(scheduler).run(jobs, lambda job, code: codes.update({job.fold: code}), afresh)
    return codes


def test_every_launcher_but_that_of_this_machine_has_a_scheduler() -> None:
    assert (LOCAL, *SCHEDULERS) == LAUNCHERS


def test_each_fold_answers_with_its_exit_code_and_no_more_run_than_may(tmp_path: Path) -> None:
    scheduler = LocalJobs(tmp_path, at_once=1)
    jobs = [make_job(tmp_path, 0), make_job(tmp_path, 1, code=7)]
    for job in jobs:
        (job.directory / "may_end").touch()
    assert run(scheduler, jobs) == {0: 0, 1: 7}
    assert scheduler.most == 1
    assert read_job(jobs[0])["parent_pid"] not in (None, os.getpid())


@contextmanager
def once_begun(job: FoldJob, happens: Callable[[], object]) -> Iterator[None]:
    """Let something happen from another thread when the fold has begun."""

    def wait() -> None:
        begun(job)
        happens()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def run_and_stop(scheduler: LocalJobs, job: FoldJob, number: signal.Signals) -> None:
    """Run a fold until a signal comes, as it comes to a cross-validation."""
    ended = threading.Event()

    def stop() -> None:
        while not ended.is_set():
            os.kill(os.getpid(), number)
            ended.wait(20)  # Python drops an interrupt that comes while it clears up an object: a person presses again

    def run_to_the_end() -> None:
        try:
            run(scheduler, [job])
        finally:
            ended.set()

    with catch_signals(STOP_SIGNALS[1:], interrupt), once_begun(job, stop), pytest.raises(KeyboardInterrupt):
        run_to_the_end()


def test_who_was_stopped_finds_the_job_that_it_left(
    tmp_path: Path, scheduler: LocalJobs, capsys: pytest.CaptureFixture[str]
) -> None:
    job = make_job(tmp_path, 0, code=3)
    run_and_stop(scheduler, job, signal.SIGTERM)
    (name,) = scheduler.jobs
    with pytest.raises(UserError, match=f"at work as the jobs {name}, so that they cannot begin afresh; .* scancel"):
        run(scheduler, [job], afresh=True)
    (job.directory / "may_end").touch()
    assert run(scheduler, [job]) == {0: 3}
    assert len(scheduler.jobs) == 1
    assert f"fold 0: its job {name} is in the queue already (running)" in capsys.readouterr().out


def test_ctrl_c_cancels(tmp_path: Path, scheduler: LocalJobs, capsys: pytest.CaptureFixture[str]) -> None:
    job = make_job(tmp_path, 0)
    run_and_stop(scheduler, job, signal.SIGINT)
    (name,) = scheduler.jobs
    assert f"cancelled: {name}" in capsys.readouterr().out
    ends = time.monotonic() + 30
    while scheduler.list_jobs():
        assert time.monotonic() < ends, "the job is still at work"
        time.sleep(0.05)


def test_a_job_that_is_gone_without_an_answer_is_a_fold_that_was_killed(
    tmp_path: Path, scheduler: LocalJobs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PATIENCE", 0.2)
    job = make_job(tmp_path, 0)

    def kill() -> None:
        os.kill(int(str(read_job(job)["parent_pid"])), signal.SIGKILL)
        (job.directory / "may_end").touch()

    with once_begun(job, kill):
        assert run(scheduler, [job]) == {0: -signal.SIGKILL}
    assert f"is gone and gave no answer; logs: {tmp_path / 'slurm'}" in capsys.readouterr().out


def test_what_was_not_cancelled_is_said(
    tmp_path: Path, scheduler: LocalJobs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "cancel", lambda names: "no answer")
    job = make_job(tmp_path, 0)
    run_and_stop(scheduler, job, signal.SIGINT)
    (job.directory / "may_end").touch()
    (name,) = scheduler.jobs
    said = f"jobs may go on, as they were not cancelled (no answer); end them later: scancel {name}"
    assert said in capsys.readouterr().out


def test_who_waits_may_have_enough(tmp_path: Path, scheduler: LocalJobs) -> None:
    job = make_job(tmp_path, 0)

    def look() -> None:
        if (job.directory / "began").exists():
            raise TimeoutError

    with pytest.raises(TimeoutError):
        WatchedJobs(scheduler).run([job], lambda job, code: None, on_look=look)
    assert scheduler.list_jobs() == {}
