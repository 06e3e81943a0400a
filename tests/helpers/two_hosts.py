"""Two network namespaces of this machine that stand for two machines, each with its own address, and a cable."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

NETWORK = "10.77.0"


@dataclass(frozen=True)
class Host:
    """A network namespace.

    Attributes:
        namespace: its name.
        interface: its end of the cable, by name.
        address: of that end.
    """

    namespace: str
    interface: str
    address: str

    def command(self, command: list[str]) -> list[str]:
        """Return what runs a command there."""
        return ["ip", "netns", "exec", self.namespace, *command]


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Make two hosts, and remove them at the end; the test is skipped where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces are made by root")
    if shutil.which("ip") is None:
        pytest.skip("no ip here; Debian: apt-get install iproute2")
    names = [f"medmamba-{os.getpid()}-{number}" for number in (1, 2)]
    first, second = (Host(name, f"cable{number}", f"{NETWORK}.{number}") for number, name in enumerate(names, 1))
    with contextlib.ExitStack() as made:
        try:
            for host in (first, second):
                _run_ip("netns", "add", host.namespace)
                made.callback(_run_ip, "netns", "delete", host.namespace)
            ends = [(host.interface, "netns", host.namespace) for host in (first, second)]
            _run_ip("link", "add", *ends[0], "type", "veth", "peer", "name", *ends[1])
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces are refused here: {error.stderr.strip()}")
        for host in (first, second):
            _run_ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", host.interface)
            for interface in ("lo", host.interface):
                _run_ip("-n", host.namespace, "link", "set", interface, "up")
        yield first, second


def _run_ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
