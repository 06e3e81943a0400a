"""A federation in processes of its own, of which one or all are killed or stand still."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from medmamba_monai.federation.site_processes import find_site_processes

OPTIONS = (
    *("--image-size", "32", "--depths", "1", "1", "--channels", "8", "16", "--batch-size", "8"),
    *("--rounds", "3", "--folds", "0", "--tracking-uri", ""),
)


class FederationProcess:
    """``medmamba-monai federate`` while it runs.

    Args:
        folder: with the sites, where it runs.
        options: further words of the command.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._log = (folder / "federate.log").open("ab")
        words = [sys.executable, "-m", "medmamba_monai", "federate", "sites", *OPTIONS, *options]
        self.process = subprocess.Popen(words, cwd=folder, stdout=self._log, stderr=subprocess.STDOUT)

    def wait(self, seconds: float = 900) -> tuple[int, str]:
        """Wait for its end; return the exit code and all that the folder's federations have printed so far."""
        code = self.process.wait(seconds)
        self._log.close()
        return code, (self.folder / "federate.log").read_text(encoding="utf-8", errors="replace")

    def wait_until(self, reached: Callable[[dict[str, Any]], bool], seconds: float = 900) -> None:
        """Wait until the results say something; what does not come so far is killed."""
        ends = time.monotonic() + seconds
        while not reached(read_results(self.folder)):
            assert self.process.poll() is None, self.wait()[1][-3000:]
            if time.monotonic() > ends:
                self.kill_all()
                raise AssertionError("the federation did not come so far")
            time.sleep(0.2)

    def find_site(self, site: str) -> psutil.Process:
        """Find the process in which a site trains."""
        (found,) = find_site_processes([site], self.process.pid)
        return found

    def kill_all(self) -> None:
        """Kill the command, the server and all sites at once."""
        processes = psutil.Process(self.process.pid).children(recursive=True)
        for process in (psutil.Process(self.process.pid), *processes):
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs(processes)
        self.wait()


def read_results(folder: Path) -> dict[str, Any]:
    """Read what the server has kept so far; empty before it has kept anything."""
    path = folder / "output" / "federation" / "federation.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def count_rounds(content: dict[str, Any]) -> int:
    """Return how many rounds of fold 0 have been judged."""
    rounds = content.get("folds", {}).get("0", {}).get("rounds", [])
    return sum("validation_accuracy" in entry["mean"] for entry in rounds)
