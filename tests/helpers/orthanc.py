"""A real archive for DICOM, started for a test on ports of its own and reached from this machine alone."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from pynetdicom import AE, StoragePresentationContexts

_SECONDS = 60
_STORED = 0x0000


@dataclass(frozen=True)
class Orthanc:
    """Where an archive listens."""

    http: int
    dicom: int

    def ask(self, path: str, query: dict[str, Any] | None = None) -> Any:
        """The answer of the REST interface; to a query where one is given."""
        return json.loads(self.fetch(path, query))

    def fetch(self, path: str, query: dict[str, Any] | None = None) -> bytes:
        """The answer as it comes."""
        url = f"http://127.0.0.1:{self.http}{path}"
        found = requests.get(url, timeout=10) if query is None else requests.post(url, json=query, timeout=10)
        found.raise_for_status()
        return found.content

    def store(self, paths: list[Path]) -> None:
        """Send files as a modality does."""
        entity = AE("TESTS")
        read = [pydicom.dcmread(path) for path in paths]
        known = {str(context.abstract_syntax): context for context in StoragePresentationContexts}
        for uid in {str(one.SOPClassUID) for one in read}:
            entity.add_requested_context(known[uid].abstract_syntax, pydicom.uid.ExplicitVRLittleEndian)
        association = entity.associate("127.0.0.1", self.dicom, ae_title="ORTHANC")
        assert association.is_established
        assert [association.send_c_store(one).Status for one in read] == [_STORED] * len(read)
        association.release()

    def find(self, level: str, **query: str) -> list[Any]:
        """What the archive holds at a level, such as ``Series``, with these values."""
        return list(self.ask("/tools/find", {"Level": level, "Query": query, "Expand": True}))


@contextlib.contextmanager
def start_orthanc(folder: Path) -> Iterator[Orthanc]:
    """Start an archive that keeps its files in a folder; skips where there is none."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if program is None:
        pytest.skip("Orthanc is not installed (Debian: apt-get install orthanc)")
    found = Orthanc(*_find_ports(2))
    config = folder / "orthanc.json"
    config.write_text(json.dumps(_configure(folder, found)))
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen([program, str(config)], stdout=log, stderr=log)
        try:
            _wait(found, process, folder / "orthanc.log")
            yield found
        finally:
            process.kill()  # it would take seconds to close what nobody reads again
            process.wait(_SECONDS)


def _configure(folder: Path, orthanc: Orthanc) -> dict[str, Any]:
    return {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": orthanc.http,
        "DicomPort": orthanc.dicom,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "Plugins": [],
    }


def _find_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait(orthanc: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text(errors="replace")
        with contextlib.suppress(requests.ConnectionError):
            orthanc.ask("/system")
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace"))
