"""What forks the folds: their signals, their variables, and what is left of them when it or its starter ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medmamba_monai.cross_validation.fold_server import FoldServer, ForkedFold
from tests.helpers.small_bundle import ROOT, run_command

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="folds are forked on Linux alone"),
    pytest.mark.usefixtures("own_process"),
]


@pytest.fixture
def server(own_process: None) -> Iterator[FoldServer]:
    server = FoldServer()
    yield server
    server.close()


def write_job(server: FoldServer, folder: Path, overlay: str) -> str:
    """A job whose config is nothing but one expression that tells what its process finds."""
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    for name in ("metadata.json", "logging.conf"):
        shutil.copy(ROOT / "bundles" / "phantom" / "configs" / name, folder / "configs")
    (folder / "config.json").write_text(json.dumps({"initialize": [overlay], "run": [], "finalize": []}))
    job = {
        "fold": 0,
        "bundle_root": str(folder),
        "config_files": [str(folder / "config.json")],
        "overrides": {"output_dir": str(folder / "out"), "tracking_uri": "", "experiment_name": "", "parent_dir": None},
        "parent_pid": server.pid,
    }
    (folder / "job.json").write_text(json.dumps(job))
    return str(folder / "job.json")


def wait_for(path: Path, fold: ForkedFold) -> str:
    deadline = time.monotonic() + 120
    while not path.is_file() or not path.read_text():
        assert fold.poll() is None, "the fold ended before"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path.read_text()


def start_and_wait(server: FoldServer, folder: Path, **environment: str) -> tuple[ForkedFold, list[str]]:
    """Start a fold that writes its number, its parent's, its threads and a variable, then waits; what it wrote."""
    found = folder / "found.txt"
    text = "' '.join(map(str, [o.getpid(), o.getppid(), __import__('torch').get_num_threads(), o.environ.get('MARK')]))"
    write = f"$(lambda o, p: p.Path({str(found)!r}).write_text({text}))(__import__('os'), __import__('pathlib'))"
    job = write_job(server, folder, f"{write} and __import__('time').sleep(300)")
    fold = server.start(job, environment)
    return fold, wait_for(found, fold).split()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_fold_has_its_variables_and_threads_and_stops_when_it_is_told_to(server, tmp_path):
    fold, (_, parent, threads, mark) = start_and_wait(server, tmp_path, OMP_NUM_THREADS="2", MARK="here")
    assert (int(parent), threads, mark) == (server.pid, "2", "here")
    assert "MARK" not in os.environ
    fold.terminate()
    assert fold.wait(60) == 130


def test_a_fold_that_is_killed_has_the_code_of_its_signal(server, tmp_path):
    fold, (pid, *_) = start_and_wait(server, tmp_path)
    fold.kill()
    assert fold.wait(60) == -signal.SIGKILL
    wait_until_gone(int(pid))


def test_folds_end_with_the_end_of_their_starter(tmp_path):
    server = FoldServer()
    _, (pid, *_) = start_and_wait(server, tmp_path)
    server.close()  # as the system does where it is killed
    wait_until_gone(int(pid))


def test_folds_whose_server_was_killed_stop_and_are_told_of(server, tmp_path):
    fold, (pid, *_) = start_and_wait(server, tmp_path)
    os.kill(server.pid, signal.SIGKILL)
    wait_until_gone(int(pid))
    assert fold.wait(10) != 0


def test_a_fold_that_was_not_started_yet_never_is(tmp_path):
    server = FoldServer()
    fold = server.start(str(tmp_path / "job.json"), {})
    if fold.poll() is None:
        fold.terminate()
    server.close()
    assert fold.returncode is not None


def test_no_collection_in_a_fold_looks_at_what_was_imported(server, tmp_path):
    found = tmp_path / "found.txt"
    text = "str(any(one is imported for one in __import__('gc').get_objects()))"
    write = f"(lambda imported: __import__('pathlib').Path({str(found)!r}).write_text({text}))"
    call = f"${write}(vars(__import__('medmamba_monai'))) and __import__('time').sleep(300)"
    fold = server.start(write_job(server, tmp_path, call), {})
    assert wait_for(found, fold) == "False"
    fold.kill()


FORKS = """
import os, threading, torch

numbers = torch.ones(200000, dtype=torch.uint8)


def compute(starts, failed):
    starts.wait()
    try:
        torch.aminmax(numbers)
    except RuntimeError as error:
        failed.append(error)


for _ in range(8):
    if (pid := os.fork()) == 0:
        starts, failed = threading.Barrier(4), []
        threads = [threading.Thread(target=compute, args=(starts, failed)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os._exit(len(failed))
    assert os.waitpid(pid, 0)[1] == 0
"""


def test_threads_of_a_process_that_a_warm_one_forked_find_a_pool(tmp_path: Path) -> None:
    """Without what the helpers do, PyTorch's "Invalid thread pool!" ended a fold of the tests now and then."""
    code, printed = run_command([sys.executable, "-c", FORKS], tmp_path, OMP_NUM_THREADS="2")
    assert code == 0, printed
