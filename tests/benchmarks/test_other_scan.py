"""A scan from elsewhere, beside that of the package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import other_scan

LIBRARY = """
from medmamba_monai.selective_scan import selective_scan
def same(z, **inputs):
    return selective_scan(**inputs, backend="torch")
def other(z, **inputs):
    return 2 * selective_scan(**inputs)
"""


@pytest.fixture
def library(tmp_path: Path) -> str:
    path = tmp_path / "library.py"
    path.write_text(LIBRARY)
    return str(path)


def test_a_library_is_timed_beside_the_own_scan(library: str, tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    options = ["--functions", "same", "--image-size", "32", "--rounds", "1", "--quick", "--json", str(path)]
    assert other_scan.main(["--library", library, *options]) == 0
    assert [entry["name"] for entry in json.loads(path.read_text())["times"]] == [other_scan.OWN, "same"] * 2


@pytest.mark.parametrize(("function", "message"), [("other", "off by 1.0e+00"), ("none", "has no such function")])
def test_what_is_not_the_same_scan_is_refused(
    library: str, function: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert other_scan.main(["--library", library, "--functions", function, "--image-size", "32", "--quick"]) == 2
    assert message in capsys.readouterr().err


def test_without_a_library_nothing_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert other_scan.main([]) == 0
    assert "give --library FILE" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert other_scan.main(["--library", str(tmp_path / "none.so")]) == 2
    assert "is no Python extension" in capsys.readouterr().err
