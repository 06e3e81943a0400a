"""What the comparison of exports writes, of the one format that is made in a second."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.exports import main


@pytest.mark.apart
@pytest.mark.slow
def test_a_row_says_difference_size_and_latency(tmp_path: Path, capsys) -> None:
    path = tmp_path / "exports.json"
    assert main(["--quick", "--formats", "torchscript", "--threads", "1", "--json", str(path)]) == 0
    ours, resnet = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert (ours["network"], resnet["network"]) == ("medmamba", "resnet50")
    assert ours["works"]
    assert ours["difference"] < 1e-5
    assert min(ours["bytes"], ours["times_eager"], ours["times_resnet50"]) > 0
    assert "| MedMamba-T | torchscript | yes |" in capsys.readouterr().out


def test_an_unknown_format_is_refused(capsys) -> None:
    assert main(["--quick", "--formats", "caffe"]) == 2
    assert "--formats" in capsys.readouterr().err
