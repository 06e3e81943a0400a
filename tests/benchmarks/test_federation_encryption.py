"""What encryption costs a federation, and what is written of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="the extra federation is not installed")

from benchmarks.federation_encryption import NoisyAveraging, find_unlike, main
from benchmarks.pages.federation_encryption import encryption_part
from tests.helpers.machine import MACHINE
from tests.helpers.minutes import takes_minutes


def make_run(cpu_seconds: float, sent: float, unlike_from: int | None) -> dict[str, Any]:
    times = {"seconds": 2 * cpu_seconds, "cpu_seconds": cpu_seconds, "cpu_seconds_of_others": cpu_seconds / 3}
    return {**times, "bytes": sent, "auc": 0.75, "unlike_from": unlike_from}


def make_result() -> dict[str, Any]:
    options = {"sites": 2, "images": 40, "rounds": 2, "repetitions": 2, "quick": False}
    runs = {
        "none": [make_run(10, 1e6, None), make_run(20, 3e6, None)],
        "encryption": [make_run(15, 5e6, 2), make_run(40, 15e6, None)],
        "noise": [{"auc": 0.5, "unlike_from": 2}, {"auc": 0.25, "unlike_from": 1}],
    }
    return {"machine": MACHINE, "options": options, "own_loopback": True, "weights": 12345, "runs": runs}


def test_the_page_compares_runs_in_turns_and_says_what_else_the_machine_did() -> None:
    text = encryption_part(make_result())
    assert "| as they are | 15 s | 30 s | 2.0 MB | 0.7500, 0.7500 | never, never |" in text
    assert "| encrypted | 28 s | 55 s | 10.0 MB | 0.7500, 0.7500 | 2, never |" in text
    assert "| with errors of 0.00000001 |  |  |  | 0.5000, 0.2500 | 2, 1 |" in text
    assert "a network of 12,345 weights" in text
    assert "took 1.50 to 2.00 times the seconds of processors and 1.50 to 2.00 times the time from start to end" in text
    assert "and sent 5.00 times the bytes, 4 MB more a round." in text
    assert "meanwhile, 25% was other programs'." in text
    assert "--sites 2 --images 40 --rounds 2 --repetitions 2` in a network namespace of its own." in text


def test_the_page_says_nothing_of_a_loopback_that_others_use() -> None:
    assert "namespace" not in encryption_part(make_result() | {"own_loopback": False})


def test_the_first_round_is_found_whose_figures_differ() -> None:
    rounds = [{"round": number, "mean": {"train_loss": 0.5, "validation_auc": 0.9}} for number in (1, 2, 3)]
    other = [{**entry, "mean": dict(entry["mean"])} for entry in rounds]
    other[0]["mean"]["train_loss"] += 1e-6
    assert find_unlike(rounds, other) is None
    other[1]["mean"]["validation_auc"] -= 0.01
    assert find_unlike(rounds, other) == 2


def test_errors_are_small_other_ones_each_time_and_not_in_whole_numbers() -> None:
    updates = {site: {"w": np.ones(1000, np.float32), "n": np.array(3)} for site in ("a", "b")}
    averaging = NoisyAveraging(1)
    first, second = (averaging.average(updates, {"a": 10, "b": 30}) for _ in range(2))
    assert first["n"] == 3
    assert np.std(first["w"] - 1) == pytest.approx(1e-8, rel=0.1)
    assert not np.array_equal(first["w"], second["w"])


@takes_minutes
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_measures_federations_in_processes_of_their_own(tmp_path: Path) -> None:
    pytest.importorskip("tenseal", reason="the extra encryption is not installed")
    file = tmp_path / "result.json"
    assert main(["--quick", "--folder", str(tmp_path / "federations"), "--json", str(file)]) == 0
    result = json.loads(file.read_text())
    (plain,), (encrypted,), (noisy,) = (result["runs"][way] for way in ("none", "encryption", "noise"))
    assert encrypted["bytes"] > 4 * result["weights"] + plain["bytes"]
    assert [run["unlike_from"] for run in (plain, encrypted, noisy)] == [None] * 3
    assert plain["auc"] == pytest.approx(noisy["auc"], abs=0.01)
    assert encrypted["cpu_seconds"] > 0
    assert encryption_part(result).startswith("| updates | seconds of processors |")
