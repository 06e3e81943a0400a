from __future__ import annotations

import getpass
import platform
import socket
from importlib.metadata import version
from pathlib import Path

import torch

from medmamba_monai.tracking.environment import (
    describe_device,
    describe_environment,
    read_git_commit,
    read_package_versions,
)


def test_versions_are_those_installed():
    versions = read_package_versions()
    assert versions["torch"] == version("torch")
    assert versions["medmamba-monai"] == version("medmamba-monai")
    assert describe_environment("cpu")["version.monai"] == version("monai")


def test_tags_name_no_folder_no_machine_and_no_person():
    texts = [value for key, value in describe_environment("cpu").items() if not key.startswith("version.")]
    private = [str(Path.home()), str(Path.cwd()), socket.gethostname(), getpass.getuser()]
    assert [name for name in private if any(name in text for text in texts)] == []


def test_the_device_is_named():
    assert describe_device(torch.device("cpu")).startswith("cpu, ")
    assert describe_environment("cpu")["python"] == platform.python_version()


def test_the_commit_is_that_of_the_checkout_or_none():
    commit = read_git_commit()
    inside = (Path(__file__).resolve().parents[2] / ".git").exists()
    assert (commit is not None) == inside
    assert commit is None or len(commit.removesuffix("-dirty")) == 40
