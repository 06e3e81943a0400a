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


@contextmanager
def run_slurm(folder: Path, cores: int = 2) -> Iterator[dict[str, str]]:
    """Run a Slurm while the block runs.

    Args:
        folder: for its settings, state and logs.
        cores: that its node says to have.

    Yields:
        Variables with which its commands find it.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    host = name_node()
    settings = folder / "slurm.conf"
    ports = {"controller": free_port(), "node": free_port()}
    settings.write_text(SETTINGS.format(host=host, folder=folder, cores=cores, **ports))
    variables = {**os.environ, "SLURM_CONF": str(settings), "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    commands = (
        ["munged", "--foreground", "--force", f"--key-file={key}", *_name_files(folder / "munge")],
        ["slurmctld", "-D", "-f", str(settings)],
        ["slurmd", "-D", "-f", str(settings), "-N", host],
    )
    running = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.out").open("w") as output:
                running.append(subprocess.Popen(command, env=variables, stdout=output, stderr=subprocess.STDOUT))
            time.sleep(0.5)
        _wait_for_node(variables)
        yield {name: variables[name] for name in ("SLURM_CONF", "PATH")}
    finally:
        subprocess.run(["scancel", "--user=root"], env=variables, check=False, capture_output=True)
        for process in reversed(running):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            process.kill()


def name_node() -> str:
    """The name of the only node."""
    return socket.gethostname().split(".")[0]


def _name_files(stem: Path) -> list[str]:
    kinds = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    return [f"--{option}={stem}.{suffix}" for option, suffix in kinds.items()]


def _wait_for_node(variables: dict[str, str]) -> None:
    ends = time.monotonic() + SECONDS_TO_START
    while True:
        answer = subprocess.run(["sinfo", "-h", "-o", "%T"], env=variables, capture_output=True, text=True)
        if answer.stdout.strip() in ("idle", "mixed"):
            return
        assert time.monotonic() < ends, f"Slurm did not start: {answer.stdout} {answer.stderr}"
        time.sleep(0.2)
