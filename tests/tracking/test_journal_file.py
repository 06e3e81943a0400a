from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.tracking.journal import Journal
from medmamba_monai.tracking.journal_file import read_lines, scan_lines


def list_steps(path: Path) -> list[int]:
    return [line["step"] for line in read_lines(path)]


def test_a_full_disk_leaves_no_half_line_and_the_same_process_goes_on(tmp_path):
    journal = Journal(tmp_path)
    journal.log_metrics({"a": 1.0}, step=1)
    before = journal.path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*tracking\.jsonl.*Free space"):
            journal.log_metrics({"a": 2.0}, step=2)
        assert journal.path.read_bytes() == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    journal.log_metrics({"a": 3.0}, step=3)
    assert [json.loads(line)["step"] for line in journal.path.read_text().splitlines()] == [1, 3]


def test_a_half_line_that_another_process_left_is_cut_back_before_the_next(tmp_path):
    journal = Journal(tmp_path)
    journal.log_metrics({"a": 1.0}, step=1)
    with journal.path.open("a") as file:
        file.write('{"op": "metr')
    journal.log_metrics({"a": 2.0}, step=2)
    assert [json.loads(line)["step"] for line in journal.path.read_text().splitlines()] == [1, 2]


def test_an_entry_that_runs_on_from_a_half_line_is_kept(tmp_path, caplog):
    journal = Journal(tmp_path)
    journal.log_metrics({"a": 1.0}, step=1)
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + whole[:20] + whole.replace(b'"step": 1', b'"step": 2'))
    assert list_steps(journal.path) == [1, 2]
    assert f"byte {len(whole)}" in caplog.text
    assert "the entry after it is kept" in caplog.text


@pytest.mark.parametrize(
    "damage",
    [
        b"\0\0\0\0\n",
        b"nonsense\n",
        b"\xff\xfe\n",
        b"[1]\n",
        b'"text"\n',
        b'{"op": "unknown", "time": 1}\n',
        b'{"op": "metrics", "time": 1}\n',
        b'{"op": "params", "values": [], "time": 1}\n',
        b"[" * 5000 + b"\n",
    ],
)
def test_what_is_no_line_is_skipped_and_reported(tmp_path, caplog, damage):
    journal = Journal(tmp_path)
    journal.log_metrics({"a": 1.0}, step=1)
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + damage + whole.replace(b'"step": 1', b'"step": 2'))
    assert [line.content is not None for line in scan_lines(journal.path)] == [True, False, True]
    Journal(tmp_path).log_metrics({"a": 3.0}, step=3)
    assert list_steps(journal.path) == [1, 2, 3]
    assert f"{journal.path}, byte {len(whole)}" in caplog.text
    assert "it is skipped" in caplog.text


def test_a_name_that_is_no_utf_8_comes_back(tmp_path):
    Journal(tmp_path).set_tags({"name": "Ä\udcff"})
    assert read_lines(tmp_path / "tracking.jsonl")[0]["values"] == {"name": "Ä\udcff"}
