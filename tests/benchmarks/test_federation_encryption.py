"""What encryption costs a federation, and what is written of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="the extra federation is not installed")

from benchmarks.federation_encryption import compare_networks, main
from benchmarks.pages.federation_encryption import encryption_part
from tests.helpers.machine import MACHINE
from tests.helpers.minutes import takes_minutes


def make_run(cpu_seconds: float, sent: float, difference: float) -> dict[str, Any]:
    times = {"seconds": 2 * cpu_seconds, "cpu_seconds": cpu_seconds, "cpu_seconds_of_others": cpu_seconds / 3}
    return {**times, "bytes": sent, "auc": 0.75, "difference": difference}


def make_result() -> dict[str, Any]:
    options = {"sites": 2, "images": 40, "rounds": 2, "repetitions": 2, "quick": False}
    runs = {
        "none": [make_run(10, 1e6, 0.0), make_run(20, 3e6, 0.0)],
        "encryption": [make_run(15, 5e6, 2e-8), make_run(40, 15e6, 3e-8)],
    }
    return {"machine": MACHINE, "options": options, "own_loopback": True, "weights": 12345, "runs": runs}


def test_the_page_compares_runs_in_turns_and_says_what_else_the_machine_did() -> None:
    text = encryption_part(make_result())
    assert "| as they are | 15 s | 30 s | 2.0 MB | 0.7500 | 0 |" in text
    assert "| encrypted | 28 s | 55 s | 10.0 MB | 0.7500 | 3e-08 |" in text
    assert "a network of 12,345 weights" in text
    assert "took 1.50 to 2.00 times the seconds of processors and 1.50 to 2.00 times the time from start to end" in text
    assert "and sent 5.00 times the bytes, 4 MB more a round." in text
    assert "meanwhile, 25% was other programs'." in text
    assert "--sites 2 --images 40 --rounds 2 --repetitions 2` in a network namespace of its own." in text


def test_the_page_says_nothing_of_a_loopback_that_others_use() -> None:
    assert "namespace" not in encryption_part(make_result() | {"own_loopback": False})


def test_networks_differ_by_their_most_unlike_weight() -> None:
    one = {"a": np.array([1.0, 2.0], np.float32), "b": np.array([7])}
    assert compare_networks(one, {"a": np.array([1.5, 1.75], np.float32), "b": np.array([9])}) == 0.5


@takes_minutes
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_measures_federations_in_processes_of_their_own(tmp_path: Path) -> None:
    pytest.importorskip("tenseal", reason="the extra encryption is not installed")
    file = tmp_path / "result.json"
    assert main(["--quick", "--folder", str(tmp_path / "federations"), "--json", str(file)]) == 0
    result = json.loads(file.read_text())
    (plain,), (encrypted,) = (result["runs"][way] for way in ("none", "encryption"))
    assert encrypted["bytes"] > 4 * result["weights"] + plain["bytes"]
    assert 0 < encrypted["difference"] < 1e-5
    assert encrypted["cpu_seconds"] > 0
    assert encryption_part(result).startswith("| updates | seconds of processors |")
