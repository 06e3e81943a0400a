"""Which processes are killed when a federation has ended."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest

pytest.importorskip("nvflare", reason="the extra federation is not installed")

from nvflare.apis.fl_context import FLContext
from nvflare.apis.signal import Signal
from nvflare.private.fed.app.simulator import simulator_worker

from medmamba_monai.core.errors import UserError
from medmamba_monai.federation.nvflare_server import FederationController
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.record import FederationRecord
from medmamba_monai.federation.site_processes import find_site_processes, kill_site_processes

PROGRAM = simulator_worker.__name__
"""As NVFlare's simulator starts it."""


def start(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["bash", "-c", "read", *words], stdin=subprocess.PIPE)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Let a process stand still until the end of a test."""
    process.send_signal(signal.SIGSTOP)


@pytest.fixture
def processes() -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    started = {
        "site_1": start(PROGRAM, "--client", "site_1", "--token", "site_2"),
        "site_2": start(PROGRAM, "--client", "site_2"),
        "north": start(PROGRAM, "--client", "north"),
        "other": start("trainer", "--client", "site_2"),
    }
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


def test_the_process_of_a_site_is_killed_though_it_stands_still(processes):
    stop(processes["site_2"])
    assert [found.pid for found in find_site_processes(["site_2"])] == [processes["site_2"].pid]
    kill_site_processes(["site_2", "site_3"])
    assert processes["site_2"].wait(10) == -signal.SIGKILL
    assert [processes[name].poll() for name in ("site_1", "other")] == [None, None]
    assert find_site_processes(["site_2"]) == []


def test_a_federation_that_ends_kills_a_site_that_stands_still_and_was_never_heard(processes, tmp_path):
    """Here it ends at once, as its folder is of another one."""
    FederationRecord(tmp_path, Plan.of({}, "another"), "").join({})
    controller = FederationController(Plan.of({"lost_after": 1}, "one").to_message(), ["north"], str(tmp_path))
    stop(processes["north"])
    with pytest.raises(UserError, match="holds another federation"):
        controller.control_flow(Signal(), FLContext())
    assert processes["north"].poll() is None
    assert processes["north"].wait(20) == -signal.SIGKILL
    assert processes["site_1"].poll() is None
    assert controller.watch is not None
    controller.watch.end()
