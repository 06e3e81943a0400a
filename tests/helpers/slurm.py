"""A Slurm of one node on this machine: a controller and a node on loopback, with a folder and ports of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.helpers.small_bundle import free_port

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
SECONDS_TO_START = 60
SETTINGS = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={controller}
SlurmdPort={node}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,bf_interval=2
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
KillWait=30
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def why_none_runs() -> str | None:
    """Say why no Slurm can be started here; None where one can."""
    if os.geteuid() != 0:
        return "a Slurm for tests is started by root"
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    if missing := [name for name in PROGRAMS if shutil.which(name, path=path) is None]:
        return f"no {', '.join(missing)} here; Debian: apt-get install slurm-wlm munge"
    return None


of_a_cluster = pytest.mark.skipif(bool(why_none_runs()), reason=str(why_none_runs()))


class SmallSlurm:
    """The daemons of a Slurm of one node, which may be killed and started again.

    Args:
        folder: for its settings, state and logs.
        cores: that its node says to have.
        settings: further lines of ``slurm.conf``.

    Attributes:
        variables: with which its commands find it.
    """

    def __init__(self, folder: Path, cores: int, settings: str) -> None:
        self.folder = folder
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key, host, config = folder / "munge.key", name_node(), folder / "slurm.conf"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        ports = {"controller": free_port(), "node": free_port()}
        config.write_text(SETTINGS.format(host=host, folder=folder, cores=cores, **ports) + settings)
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        self.variables = {"SLURM_CONF": str(config), "PATH": path}
        self._commands = {
            "munged": ["--foreground", "--force", f"--key-file={key}", *_name_files(folder / "munge")],
            "slurmctld": ["-D", "-f", str(config)],
            "slurmd": ["-D", "-f", str(config), "-N", host],
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        """Start daemons."""
        for name in names:
            command = [name, *self._commands[name]]
            with (self.folder / f"{name}.out").open("a") as output:
                self._running[name] = subprocess.Popen(
                    command, env=os.environ | self.variables, stdout=output, stderr=subprocess.STDOUT
                )
            time.sleep(0.5)

    def kill(self, name: str, with_folds: bool = False) -> None:
        """Kill a daemon, as a crash does; with what it runs, as a loss of power does."""
        lost: list[psutil.Process] = []
        if with_folds:  # the process of a job is no child of this daemon any more
            steps = self.find_steps()
            lost = [*steps, *(child for step in steps for child in step.children(recursive=True))]
        self._running[name].kill()
        for one in lost:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        self._running.pop(name).wait()

    def find_steps(self) -> list[psutil.Process]:
        """The processes on the node that run jobs."""
        return [one for one in psutil.process_iter() if _is_step_of(one, Path(self.variables["SLURM_CONF"]))]

    def end(self, name: str) -> None:
        """End a daemon in order, as for maintenance."""
        self._running[name].terminate()
        self._running.pop(name).wait()

    def hurry(self, job: str) -> None:
        """Let a job that was queued again begin now, for which Slurm else waits two minutes."""
        self.tell("scontrol", "update", f"JobId={job}", "StartTime=now")

    def tell(self, *words: str, check: bool = True) -> str:
        """Run a command of Slurm; returns what it printed."""
        variables = os.environ | self.variables
        return subprocess.run(words, env=variables, check=check, stdout=subprocess.PIPE, text=True).stdout

    def wait_for_node(self) -> None:
        """Wait until the node takes jobs, or has some."""
        ends = time.monotonic() + SECONDS_TO_START
        while (state := self.tell("sinfo", "-h", "-o", "%T", check=False).strip()) not in ("idle", "mixed"):
            assert time.monotonic() < ends, f"Slurm did not start: {state}"
            time.sleep(0.2)

    def stop(self) -> None:
        """End all jobs, and the daemons."""
        self.start(*(self._commands.keys() - self._running.keys()))
        self.tell("scancel", "--user=root", check=False)
        for process in reversed(self._running.values()):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            process.kill()


@contextmanager
def run_small_slurm(folder: Path, cores: int = 2, settings: str = "") -> Iterator[SmallSlurm]:
    """Run a Slurm while the block runs, see `SmallSlurm`."""
    slurm = SmallSlurm(folder, cores, settings)
    try:
        slurm.start(*PROGRAMS[:3])
        slurm.wait_for_node()
        yield slurm
    finally:
        slurm.stop()


@contextmanager
def run_slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Run a Slurm while the block runs; yields variables with which its commands find it."""
    with run_small_slurm(folder) as slurm:
        yield slurm.variables


def name_node() -> str:
    """The name of the only node."""
    return socket.gethostname().split(".")[0]


def _name_files(stem: Path) -> list[str]:
    kinds = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    return [f"--{option}={stem}.{suffix}" for option, suffix in kinds.items()]


def _is_step_of(process: psutil.Process, config: Path) -> bool:
    """Whether a process runs a job of a Slurm; its environment is hidden, that of the job is not."""
    with suppress(psutil.Error):
        below = process.children(recursive=True) if process.name() == "slurmstepd" else []
        return any(one.environ().get("SLURM_CONF") == str(config) for one in below)
    return False
