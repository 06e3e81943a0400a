"""Memory that a process may still take, on the machine and inside the container that it runs in.

Control groups are read here, since psutil knows the machine's memory only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

_UNLIMITED = 1 << 60
"""Limits from here on are none: version 1 writes the largest multiple of a page for it."""
# Version 2, then version 1: limit, usage, and the part of it that is cached files, which give way.
_VERSIONS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def measure_available_memory(cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Return the bytes that can be taken without swapping.

    Args:
        cgroups: where Linux tells the limits of control groups, of which containers and batch systems make use.
        own: where it tells the groups of this process.

    Returns:
        The memory that the machine has available or, where that is less, what the limits of this process's control
        groups leave; shared by the processes of a distributed training on this machine
        (``LOCAL_WORLD_SIZE``, which torchrun sets).
    """
    left = [space for folder in _list_groups(cgroups, own) if (space := _measure_space_left(folder)) is not None]
    processes = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return min([psutil.virtual_memory().available, *left]) // (int(processes) if processes.isdecimal() else 1)


def _list_groups(cgroups: Path, own: Path) -> Iterator[Path]:
    """Yield the folders of this process's groups and of all groups around them."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:  # not on Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = cgroups / "memory" if controllers else cgroups
        inner = root / path.lstrip("/")
        yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(root))


def _measure_space_left(folder: Path) -> int | None:
    for limit_name, usage_name, cached_name in _VERSIONS:
        try:
            limit, usage = (folder / limit_name).read_text().strip(), int((folder / usage_name).read_text())
            statistics = (folder / "memory.stat").read_text()
        except OSError:
            continue
        if not limit.isdecimal() or int(limit) >= _UNLIMITED:
            return None
        cached = re.search(rf"^{cached_name} (\d+)$", statistics, re.MULTILINE)
        return max(0, int(limit) - usage + (int(cached[1]) if cached else 0))
    return None
