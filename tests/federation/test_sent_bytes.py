"""What looks for a patient's name in the bytes that a federation sends finds it in every form."""

from __future__ import annotations

import base64
import gzip
import io
import os
import socket
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.sent_bytes import find_words
from tests.helpers.small_bundle import ROOT

NAME = "Kanarienvogel"
SENTENCE = f"patient {NAME}017.png, äöü"


def zip_file(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config/config_fed_client.json", content)
    return file.getvalue()


FORMS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
    "hexadecimal": lambda text: text.encode().hex().encode(),
    **{
        f"base64, {before} before": (lambda text, before=before: base64.b64encode(bytes(before) + text.encode()))
        for before in range(3)
    },
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(text.encode()),
    "gzip": lambda text: gzip.compress(text.encode()),
    **{f"zlib {level}": (lambda text, level=level: zlib.compress(text.encode(), level)) for level in (1, 6, 9)},
    "zip": lambda text: zip_file(text.encode()),
    "base64 in gzip": lambda text: gzip.compress(base64.b64encode(text.encode())),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_name_is_found_in_every_form_and_nothing_else_is(form):
    noise = [np.random.default_rng(seed).bytes(100_000) for seed in range(2)]
    sent = FORMS[form](SENTENCE).join(noise)
    assert find_words(sent, [NAME, "Zeisig", b"Zeisig"]) == [NAME]
    assert find_words(b"".join(noise), [NAME]) == []


def test_a_stream_that_something_else_cut_apart_is_read_as_far_as_it_goes():
    whole = zlib.compress((SENTENCE + "".join(map(str, range(20000)))).encode())
    assert find_words(whole[: len(whole) // 2] + b"frame" + whole[len(whole) // 2 :], [NAME]) == [NAME]


@pytest.mark.parametrize("way", ["send(data)", "sendall(data)", "sendmsg([data[:9], data[9:]])"])
def test_the_record_sees_what_a_process_sends(tmp_path: Path, way):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; data = b'{NAME}'; socket.create_connection(('127.0.0.1', {port})).{way}"
        own = {"PYTHONPATH": str(ROOT / "tests" / "helpers" / "record_sockets"), "RECORDED_SOCKETS": str(tmp_path)}
        subprocess.run([sys.executable, "-c", code], env={**os.environ, **own}, check=True)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [NAME.encode()]
