"""The command itself, with a real package: it answers, is killed, goes on and ends."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import highdicom
import pydicom
import pytest

from medmamba_monai.cli.main import main
from medmamba_monai.core.errors import UserError
from medmamba_monai.hospital.listener import ListenerSettings, Peer, Tls
from tests.helpers.listeners import names, send, wait_until, with_meta
from tests.helpers.studies import STUDY, make_image
from tests.helpers.warm_commands import WarmProcess


class Command:
    """``medmamba-monai listen`` in a process of its own."""

    def __init__(self, folder: Path, package: Path) -> None:
        self._printed = folder / "output.txt"
        self._before = len(self.read())
        options = ["--package", str(package), "--port", "0", "--dicom-out", "out", "--state", "state"]
        options += ["--quiet", "1", "--min-free", "0.001", "--device", "cpu"]
        self.process = WarmProcess(["-m", "medmamba_monai", "listen", *options], folder, dict(os.environ))
        wait_until(lambda: self._find_port() or self.process.poll() is not None, 120)
        match = self._find_port()
        assert match is not None, self.read()
        self.port = int(match[1])

    def read(self) -> str:
        return self._printed.read_text() if self._printed.exists() else ""

    def _find_port(self) -> re.Match[str] | None:
        return re.search(r"listening: MEDMAMBA on 127.0.0.1, port (\d+)", self.read()[self._before :])


@pytest.mark.slow
def test_a_study_is_answered_after_a_kill_and_the_command_ends_when_it_is_asked_to(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    first = Command(tmp_path, packed)
    image = with_meta(make_image(1))
    image.PatientName = "Secret^" + "Name" * 20  # too long: pydicom quotes what it warns of
    assert send(first.port, image) == [0]
    first.process.send_signal(signal.SIGKILL)
    assert first.process.wait(60) == -signal.SIGKILL
    second = Command(tmp_path, packed)
    assert send(second.port, with_meta(make_image(2, StudyInstanceUID="1.2.9"))) == [0]
    wait_until(lambda: names(tmp_path / "state" / "answered") == [f"{STUDY}-1", "1.2.9-1"], 100)
    second.process.send_signal(signal.SIGTERM)
    assert second.process.wait(60) == 0
    reports = [highdicom.sr.srread(path) for path in sorted((tmp_path / "out").rglob("*.dcm")) if is_report(path)]
    assert sorted(str(report.StudyInstanceUID) for report in reports) == sorted([STUDY, "1.2.9"])
    assert [len(list(report.content.get_image_measurement_groups())) for report in reports] == [1, 1]
    assert list((tmp_path / "state").rglob("*.dcm")) == []
    printed = second.read()
    assert f"study {STUDY}: 1 images answered in" in printed
    assert "stopped; 0 studies go on at the next start" in printed
    assert "Secret" not in printed
    assert "copy attributes" not in printed  # highdicom's own lines


def is_report(path: Path) -> bool:
    return str(pydicom.dcmread(path, specific_tags=["Modality"]).Modality) == "SR"


def test_a_package_that_is_none_ends_with_one_error(tmp_path, capsys):
    assert main(["listen", "--package", str(tmp_path), "--port", "0", "--dicom-out", str(tmp_path / "out")]) == 2
    assert "holds no package.json; give a folder" in capsys.readouterr().err


def settings(**changes: object) -> ListenerSettings:
    return ListenerSettings(**{"port": 1, "state": "state", "dicom_out": "out", **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dicom_out": None}, "answers would go nowhere: give --dicom-out FOLDER, --send-to"),
        ({"host": "0.0.0.0"}, "--host 0.0.0.0: others could connect, so name those who may with --allow"),
        ({"host": ""}, "others could connect"),
        ({"send_tls": True}, "--send-tls: needs --send-to, --tls-cert"),
        ({"title": "MORE THAN SIXTEEN"}, "'MORE THAN SIXTEEN' is no AE title"),
        ({"allow": ("A\\B",)}, "is no AE title"),
        ({"port": 65536}, "--port 65536: give a port"),
        ({"quiet": -1}, "--quiet -1: give a number from 0"),
        ({"quiet": float("nan")}, "--quiet nan"),
        ({"max_studies": 0}, "--max_studies 0: give a whole number from 1"),
        ({"max_disk": 0}, "--max_disk 0: give a number above 0"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(changes, message):
    with pytest.raises(UserError, match=re.escape(message)):
        settings(**changes)


def test_others_are_let_in_by_name():
    assert settings(host="0.0.0.0", allow=("PACS",)).allow == ("PACS",)
    assert settings(host="::1").host == "::1"


@pytest.mark.parametrize(
    "text", ["PACS", "PACS@host", "@host:1", "PACS@host:0", "PACS@host:99999", "P@h:1:2", "A@h o:1"]
)
def test_a_peer_that_is_none_is_named(text):
    with pytest.raises(UserError, match="--send-to"):
        Peer.parse(text)


def test_peers_are_read():
    assert Peer.parse("MY PACS@[::1]:104") == Peer("MY PACS", "::1", 104)
    assert str(Peer.parse("PACS@h:11112")) == "PACS@h:11112"


def test_without_files_there_is_no_tls():
    assert Tls.of(None, None, None) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("a", None, None), "--tls-cert a: TLS needs --tls-key FILE, too"),
        ((None, "b", None), "--tls-key b: TLS needs --tls-cert FILE, too"),
        (("a", None, "c"), "--tls-cert a, --tls-ca c: TLS needs --tls-key FILE, too"),
        ((None, None, "c"), "--tls-ca c: TLS needs --tls-cert FILE and --tls-key FILE, too"),
    ],
)
def test_the_missing_file_of_tls_is_named(given, said):
    with pytest.raises(UserError, match=f"^{said}$"):
        Tls.of(*(None if name is None else Path(name) for name in given))
