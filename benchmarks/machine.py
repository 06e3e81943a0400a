"""The header of every result: what it was measured on, and with what. It names no person, host or folder."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "monai", "numba", "triton", "transformers", "mamba-ssm")
_ROOT = Path(__file__).resolve().parents[1]


def describe_machine(device: str | torch.device = "cpu", threads: int | None = None) -> dict[str, Any]:
    """Describe the machine as JSON.

    Args:
        device: the device that is measured.
        threads: threads of the measurement, None for those that torch uses now.
    """
    device = torch.device(device)
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "device": device.type,
        **(describe_gpu(device) if device.type == "cuda" else {}),
        "cpu": cpu_name(),
        "cores": available_cores(),
        "instructions": scan_instructions(),
        "threads": threads or torch.get_num_threads(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in PACKAGES},
        **git_revision(),
    }


def describe_gpu(device: torch.device) -> dict[str, Any]:
    """Describe a CUDA device as JSON."""
    properties = torch.cuda.get_device_properties(device)
    return {
        "gpu": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "gpu_memory": properties.total_memory,
        "cuda": torch.version.cuda,
    }


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads() -> int:
    """Return the threads that are measured with unless another number is asked for: two, where there are two cores."""
    return min(2, available_cores())


def cpu_name() -> str:
    """Return the CPU's name for itself."""
    information = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", information.read_text() if information.exists() else "", re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def scan_instructions() -> str:
    """Name the vectors that the CPU's scan computes with, or say that it is not there."""
    if find_spec("numba") is None:
        return "no numba"
    from medmamba_monai.selective_scan.numba.launch import LANES

    on_x86 = platform.machine().lower() in ("x86_64", "amd64")
    names = {16: "AVX-512", 8: "AVX", 4: "SSE"} if on_x86 else {}
    return f"{names.get(LANES, f'{32 * LANES}-bit vectors')}, {LANES} x float32"


def package_version(name: str) -> str | None:
    """Return the installed version of a package, None if it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def git_revision() -> dict[str, Any]:
    """Return the commit and whether tracked files differ from it; both None outside a checkout."""
    try:
        commit = _git("rev-parse", "HEAD")
        return {"revision": commit, "dirty": bool(_git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {"revision": None, "dirty": None}


def header(machine: dict[str, Any]) -> str:
    """Write a description as a few lines of text."""
    packages = ", ".join(f"{name} {number or '-'}" for name, number in machine["packages"].items())
    commit = (machine["revision"] or "unknown")[:10] + (" with changes" if machine["dirty"] else "")
    lines = [f"date       {machine['date']}, commit {commit}"]
    if "gpu" in machine:
        size = machine["gpu_memory"] / 2**30
        lines.append(f"GPU        {machine['gpu']}, {size:.0f} GiB, sm_{machine['capability'].replace('.', '')}")
    lines.append(f"CPU        {machine['cpu']}, {machine['cores']} cores, scan with {machine['instructions']}")
    lines.append(f"threads    {machine['threads']}, {machine['system']}")
    lines.append(f"versions   Python {machine['python']}, {packages}")
    return "\n".join(lines)


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()
