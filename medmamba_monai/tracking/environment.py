"""Tags of what a run ran on: versions, commit, device, without paths or names."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import torch

from medmamba_monai.core.versions import read_versions

PACKAGES = (
    "medmamba-monai",
    "monai",
    "torch",
    "pytorch-ignite",
    "mlflow",
    "numpy",
    "numba",
    "scikit-learn",
    "mamba-ssm",
)


def describe_environment(device: str | torch.device) -> dict[str, str]:
    """Return tags that say with what a run was made.

    Args:
        device: the device that it runs on.

    Returns:
        Versions of Python and the packages, the git commit of the code where there is one, the device's name.
    """
    commit = read_git_commit()
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **{f"version.{name}": text for name, text in read_package_versions().items()},
        "device": describe_device(torch.device(device)),
        **({"mlflow.source.git.commit": commit} if commit else {}),
    }


def read_package_versions() -> dict[str, str]:
    """Return the installed versions of the packages that matter."""
    return read_versions(PACKAGES)


def describe_device(device: torch.device) -> str:
    """Return the GPU's name, or the number of CPU cores and torch threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def read_git_commit() -> str | None:
    """Return the commit of the checkout that this package is in, with ``-dirty`` if files differ; None outside one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = _run_git(root, "rev-parse", "HEAD")
        return f"{commit}-dirty" if _run_git(root, "status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.CalledProcessError):
        return None


def _run_git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()
