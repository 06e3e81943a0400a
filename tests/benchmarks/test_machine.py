from __future__ import annotations

import getpass
import json
import socket
from importlib.metadata import version
from pathlib import Path

from benchmarks import machine
from benchmarks.machine import describe_machine, header


def test_the_header_says_what_was_measured_with() -> None:
    text = header(describe_machine(threads=3))
    assert f"torch {version('torch')}" in text
    assert machine.cpu_name() in text
    assert "threads    3" in text


def test_a_package_that_is_not_there_is_shown_as_a_dash(monkeypatch) -> None:
    monkeypatch.setattr(machine, "PACKAGES", ("no-such-package",))
    assert "no-such-package -" in header(describe_machine())


def test_the_description_names_no_folder_no_host_and_no_person() -> None:
    text = json.dumps(describe_machine() | {"packages": {}})
    private = [str(Path.home()) + "/", str(Path.cwd()), socket.gethostname(), getpass.getuser() + "@"]
    assert [name for name in private if name in text] == []


def test_the_vectors_of_the_scan_are_named() -> None:
    assert machine.scan_instructions().endswith("x float32")


def test_outside_a_checkout_there_is_no_revision(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "_ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    description = describe_machine()
    assert (description["revision"], description["dirty"]) == (None, None)
    assert "commit unknown" in header(description)


def test_local_changes_are_told() -> None:
    assert "abcdef0123 with changes" in header(describe_machine() | {"revision": "abcdef0123456", "dirty": True})
