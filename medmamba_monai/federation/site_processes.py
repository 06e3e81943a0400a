"""The processes of sites that the server's own process has started, as NVFlare's simulator has them."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

import psutil

_PROGRAM = "nvflare.private.fed.app.simulator.simulator_worker"


def find_site_processes(sites: Collection[str], parent: int | None = None) -> list[psutil.Process]:
    """Find the processes in which NVFlare's simulator lets sites train.

    Args:
        sites: names of the sites.
        parent: process that has started them, or what started them; None for this one.
    """
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        with suppress(psutil.Error):  # one that has ended meanwhile
            words = process.cmdline()
            if _PROGRAM in words and words[words.index("--client") + 1] in sites:
                found.append(process)
    return found


def kill_site_processes(sites: Collection[str]) -> None:
    """Kill the processes of sites, also of those that stand still.

    Args:
        sites: names of the sites.
    """
    for process in find_site_processes(sites):
        with suppress(psutil.Error):
            process.kill()
