"""Images in, answers out: by real associations over loopback."""

from __future__ import annotations

import logging
import socket
import subprocess
import threading
from pathlib import Path

import pydicom
import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.hospital.listener import Listener, Peer, Tls
from medmamba_monai.hospital.listener.node import make_client_context
from tests.helpers.listeners import (
    STUDY,
    Pacs,
    associated,
    encode,
    image,
    listening,
    names,
    send,
    settings,
    wait_until,
    write_answer,
)
from tests.hospital.listener.test_studies import copy_image


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "medmamba_monai")
    return caplog


def test_a_quiet_study_is_answered_once_from_the_bytes_that_were_sent(tmp_path, logged):
    with listening(settings(tmp_path, quiet=0.3, keep=1, dicom_out=tmp_path / "deep" / "out")) as listener:
        with associated(listener.port) as association:
            assert association.send_c_echo().Status == 0
        assert send(listener.port, image(number=1), image(number=2), image("1.2.9", 7)) == [0, 0, 0]
        wait_until(lambda: len(names(listener.state.answered)) == 2)
    kept = tmp_path / "state" / "answered" / f"{STUDY}-1" / "images" / f"{STUDY}.5.2.dcm"
    sent = encode(image(number=2))
    assert kept.read_bytes().endswith(sent[sent.index(b"\x08\x00\x16\x00UI") :])  # the whole dataset after the meta
    reports = {path.parent.name: pydicom.dcmread(path) for path in (tmp_path / "deep" / "out").rglob("*.dcm")}
    assert {name: int(found.InstanceNumber) for name, found in reports.items()} == {f"{STUDY}-1": 2, "1.2.9-1": 1}
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert f"study {STUDY}: 2 images answered in" in logged.text


def test_who_sends_more_than_an_image_may_have_is_cut_off(tmp_path, logged):
    with listening(settings(tmp_path, max_object=50_000)) as listener:
        with associated(listener.port) as association:
            large = image(number=1)
            large.add_new(0x00204000, "LT", "x" * 200_000)
            assert not association.send_c_store(large)
        assert send(listener.port, image()) == [0]
    assert "an association was aborted: it sent an object of more than 48.8 KiB" in logged.text


@pytest.mark.parametrize(("called", "calling"), [("OTHER", "PACS"), ("MEDMAMBA", "X")])
def test_only_who_is_allowed_and_asks_for_the_listener_may_send(tmp_path, logged, called, calling):
    with listening(settings(tmp_path, allow=("PACS",))) as listener:
        with associated(listener.port, called, calling) as association:
            assert association.is_rejected
        with associated(listener.port, "MEDMAMBA", "PACS") as association:
            assert association.is_established
    assert f"it calls itself '{calling}' and asks for '{called}'" in logged.text


def test_answers_reach_a_pacs_that_was_away_and_one_that_refused(tmp_path, logged):
    pacs = Pacs()
    with pacs.serving():
        port = pacs.port
    with listening(settings(tmp_path, send_to=Peer("PACS", "127.0.0.1", port))) as listener:
        send(listener.port, image())
        wait_until(lambda: "cannot be reached, or refuses MEDMAMBA" in logged.text)
        assert names(tmp_path / "out") == [f"{STUDY}-1"]
        pacs.status = 0xA700
        with pacs.serving(port):
            wait_until(lambda: "with the status 0xa700" in logged.text)
            pacs.status = 0
            wait_until(lambda: listener.delivery.delivered)
    report = pydicom.dcmread(tmp_path / "out" / f"{STUDY}-1" / "report.dcm")
    assert pacs.stored == {report.SOPInstanceUID: 1}


@pytest.fixture(autouse=True)
def _end_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medmamba_monai.hospital.listener.node._LAST_IMAGES_SECONDS", 0.2)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("own", "stranger"):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
                *("-days", "2", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"),
                *("-addext", "subjectAltName=IP:127.0.0.1"),
            ],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    return folder


def test_tls_lets_in_only_whose_certificate_the_authority_signed(tmp_path, certificates):
    own = Tls(certificates / "own.pem", certificates / "own.key", certificates / "own.pem")
    stranger = Tls(certificates / "stranger.pem", certificates / "stranger.key", certificates / "own.pem")
    with listening(settings(tmp_path, tls=own)) as listener:
        with associated(listener.port) as association:  # without TLS
            assert not association.is_established
        with associated(listener.port, tls=(make_client_context(stranger), "127.0.0.1")) as association:
            assert not association.is_established
        with associated(listener.port, tls=(make_client_context(own), "127.0.0.1")) as association:
            assert association.send_c_store(image()).Status == 0


def test_who_never_ends_the_handshake_keeps_nobody_waiting(tmp_path, certificates):
    own = Tls(certificates / "own.pem", certificates / "own.key", certificates / "own.pem")
    context = make_client_context(own)
    with (
        listening(settings(tmp_path, tls=own)) as listener,
        socket.create_connection(("127.0.0.1", listener.port)),
        associated(listener.port, tls=(context, "127.0.0.1")) as association,
    ):
        assert association.send_c_echo().Status == 0


def test_answers_are_sent_by_tls_to_whom_the_authority_vouches_for(tmp_path, certificates):
    own = Tls(certificates / "own.pem", certificates / "own.key", certificates / "own.pem")
    with listening(settings(tmp_path / "pacs", tls=own, title="PACS")) as pacs:
        peer = Peer("PACS", "127.0.0.1", pacs.port)
        with listening(settings(tmp_path / "own", send_to=peer, send_tls=True, tls=own), copy_image) as listener:
            with associated(listener.port, tls=(make_client_context(own), "127.0.0.1")) as association:
                association.send_c_store(image())
            wait_until(lambda: listener.delivery.delivered)
        assert pacs.intake.received == 1


def test_a_certificate_that_is_none_is_named(tmp_path):
    (tmp_path / "a.pem").write_text("no certificate")
    told = settings(tmp_path, tls=Tls(tmp_path / "a.pem", tmp_path / "a.pem"))
    with pytest.raises(UserError, match=r"--tls-cert .*a\.pem"):
        Listener(told, write_answer).run(threading.Event())


def test_a_file_where_answers_go_is_refused_before_anything_is_received(tmp_path):
    (tmp_path / "out").touch()
    listener, ended = Listener(settings(tmp_path), write_answer), threading.Event()
    ended.set()
    with pytest.raises(UserError, match=r"--dicom-out .*/out: cannot be used \(File exists\); name another folder"):
        listener.run(ended)
    assert listener.port == 0


def test_a_port_in_use_and_a_folder_in_use_are_named(tmp_path):
    with listening(settings(tmp_path / "a")) as listener:
        told = settings(tmp_path / "b", port=listener.port)
        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1 port {listener.port}"):
            Listener(told, write_answer).run(threading.Event())
