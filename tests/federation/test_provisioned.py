"""The page's commands for machines of their own: a server and two sites that NVFlare provisioned, one process each."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("nvflare", reason="the extra federation is not installed")

import numpy as np
from safetensors.numpy import load_file

from medmamba_monai.federation import write_phantom_sites
from medmamba_monai.federation.encryption import SERVER_FILE, SITE_FILE
from tests.helpers.minutes import takes_minutes
from tests.helpers.sent_bytes import find_words
from tests.helpers.small_bundle import ROOT

PAGE = ROOT / "docs" / "how-to" / "federated.md"
PORTS = (8002, 8003)
"""Of a server that `nvflare poc` starts."""


def read_blocks() -> list[list[str]]:
    """Read the commands of the section, block by block."""
    section = PAGE.read_text().partition("## On machines of their own")[2].partition("\n## ")[0]
    return [block.splitlines() for block in re.findall(r"```\n(.*?)```", section, re.DOTALL)]


class Machine:
    """A machine with a home of its own, where commands are typed.

    Args:
        folder: where they are typed, with the sites.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        own = {"HOME": str(folder), "NVFLARE_POC_WORKSPACE": str(folder / "poc"), "MLFLOW_TRACKING_URI": ""}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, **own, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def type(self, *lines: str, code: int = 0) -> str:
        """Type lines into a shell; return what they print.

        Args:
            lines: of the shell; variables that are exported stay for those that are typed later.
            code: with which the last one must end.
        """
        exported = [line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export ")]
        self.environment |= {name: value.replace("$PWD", str(self.folder)) for name, value in exported}
        with (self.folder / "typed.log").open("w+") as log:  # what is started goes on to hold it
            words = ["bash", "-e", "-c", "\n".join(lines)]
            done = subprocess.run(
                words,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=400,
                check=False,
            )
        text = (self.folder / "typed.log").read_text(errors="replace")
        assert done.returncode == code, f"{lines}: {text[-3000:]}"
        return text

    def read_results(self) -> dict[str, Any]:
        """Read what the server keeps; empty before it keeps anything."""
        path = self.folder / "results" / "federation" / "federation.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        return found

    @property
    def kits(self) -> Path:
        """Folder of the startup kits."""
        return self.folder / "poc" / "example_project" / "prod_00"

    def find_job(self, site: str) -> psutil.Process:
        """Find the process of a job at a site."""
        kit = str(self.kits / site)
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if "nvflare.private.fed.app.client.worker_process" in words and kit in words:
                return process
        raise AssertionError(f"no job at {site}")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    for port in PORTS:
        with socket.socket() as found:
            if found.connect_ex(("127.0.0.1", port)) == 0:
                pytest.skip(f"port {port}, which nvflare poc takes, is in use")
    machine = Machine(tmp_path)
    write_phantom_sites(tmp_path / "sites", 2, 40, 20, 32)
    yield machine
    machine.type("nvflare poc stop || true")


@takes_minutes
@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_the_commands_of_the_page_train_at_provisioned_sites_and_go_on_after_a_job_that_failed(machine, encrypted):
    """One test, since server and sites take a minute to start."""
    prepare, kits, start, (write, submit, wait) = read_blocks()
    if encrypted:
        pytest.importorskip("tenseal", reason="the extra encryption is not installed")
        keys, privacy = read_encryption()
        prepare, write = [*prepare[:-1], f"{prepare[-1]} {keys}"], f"{write} {privacy}"
    for block in (prepare, kits, start, [write]):
        machine.type(*block)
    check_errors_stay(machine, submit, wait)
    first = read_job(machine.type(submit))
    wait_for_round(machine)
    machine.find_job("site_2").send_signal(signal.SIGKILL)
    machine.type(wait.replace("JOB_ID", first), code=1)
    failed = machine.read_results()
    assert "NVFlare since the process of a site died" in failed["failure"]
    machine.type(wait.replace("JOB_ID", read_job(machine.type(submit))))
    content = machine.read_results()
    (fold,) = content["folds"].values()
    assert fold["rounds"][:1] == failed["folds"]["0"]["rounds"][:1]
    assert [sorted(entry["sites"]) for entry in fold["rounds"]] == [["site_1", "site_2"]] * 2
    assert fold["test"]["sites"].keys() == {"site_1", "site_2"}
    assert "failure" not in content
    check_networks(machine, encrypted)


def read_encryption() -> tuple[str, str]:
    """Read what the page adds to the commands: for the kits, and for the job."""
    section = PAGE.read_text().partition("### Encryption")[2].partition("\n## ")[0]
    keys, privacy = (re.findall(rf"`({word})`", section)[0] for word in ("-he", "--privacy encryption"))
    return keys, privacy


def check_networks(machine: Machine, encrypted: bool) -> None:
    """Both sites have the same network; where it is encrypted, the server has no weights, and no key to read them."""
    folders = [machine.folder / "sites" / "output" / site / "federation" / "fold_0" for site in ("site_1", "site_2")]
    one, other = (load_file(folder / "model.safetensors") for folder in folders)
    assert all(np.array_equal(one[name], other[name]) for name, value in one.items() if value.dtype.kind == "f")
    kept = load_file(machine.folder / "results" / "federation" / "fold_0" / "progress.safetensors")
    assert ({value.dtype for value in kept.values()} == {np.dtype(np.uint8)}) == encrypted
    kits = {name: {path.name for path in (machine.kits / name / "startup").iterdir()} for name in ("server", "site_1")}
    assert (SERVER_FILE in kits["server"], SITE_FILE in kits["site_1"]) == (encrypted, encrypted)
    assert SITE_FILE not in kits["server"]


def check_errors_stay(machine: Machine, submit: str, wait: str) -> None:
    """A job fails by a file that a site lacks: the site's log names it, and nothing at the server does."""
    folds = machine.folder / "sites" / "site_2" / "folds.json"
    folds.rename(folds.with_suffix(".away"))
    machine.type(wait.replace("JOB_ID", read_job(machine.type(submit))), code=1)
    folds.with_suffix(".away").rename(folds)
    assert "1 of 2 sites answered" in machine.read_results()["failure"]
    found = {name: find_words(read_all(machine.kits / name), [str(folds)]) for name in ("site_2", "server")}
    assert found == {"site_2": [str(folds)], "server": []}


def read_all(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def read_job(text: str) -> str:
    (found,) = re.findall(r"job_id: (\S+)", text)
    return str(found)


def wait_for_round(machine: Machine) -> None:
    """Wait until the server has kept a round."""
    ends = time.monotonic() + 300
    while not list(machine.folder.glob("results/federation/fold_0/progress.safetensors")):
        assert time.monotonic() < ends, "no round came to its end"
        time.sleep(0.2)
