"""The page of scaling says where stores break, what a folder bears, and that the rest is simulated."""

from __future__ import annotations

from typing import Any

from benchmarks.pages.scaling import scaling_part
from tests.helpers.machine import MACHINE


def measured(folds: int, rate: float, longest: float, refused: int = 0) -> dict[str, Any]:
    found = {"folds": folds, "epochs_per_second": rate, "calls_per_second": 4 * rate, "refused": refused, "left": 2}
    times = {part: {"median": longest / 2, "longest": longest} for part in ("begin", "epoch", "end")}
    used = {"fold_core": 0.031, "store_core": 0.042, "others": 0.256}
    return {**found, **times, **used, "missing": refused, "doubled": 0}


def outcome(hours: float) -> dict[str, Any]:
    return {
        "seconds": 3600 * hours,
        "seconds_longest_first": 3600 * hours / 2,
        "efficiency": 0.987,
        "waiting": 0.0123,
        "store_busy": 0.456,
        "longest_lag": 12.3,
    }


def test_the_page_says_where_each_store_breaks() -> None:
    stores = {
        "SQLite": [measured(1, 5.0, 0.3), measured(8, 6.0, 11.0), measured(16, 4.0, 21.0, refused=3)],
        "server": [measured(1, 8.0, 0.2), measured(8, 20.0, 0.9), measured(16, 19.0, 2.0)],
    }
    folder = {
        "epochs": 2,
        "flushes": {"journal": 10, "checkpoints": 2, "folders": 2},
        "replaced_bytes": {"checkpoints": 400_000_000},
        "journal_bytes": 3000,
        "best_epochs": 1,
        "files": 12,
        "bytes": 500_000_000,
    }
    options = {
        "folds": [1, 16],
        "seconds": 12.0,
        "server_workers": 4,
        "weight_bytes": 1000,
        "workers": [1, 16],
        "quick": False,
    }
    simulated = {"CPU": {name: [outcome(40.0), outcome(2.5)] for name in stores}}
    result = {
        "machine": MACHINE,
        "load": 4.24,
        "options": options,
        "stores": stores,
        "left_out": {"PostgreSQL": "it is missing"},
    }
    text = scaling_part({**result, "folder": folder, "simulated": simulated})
    assert "| 16 | 21 s | 4.0 | 10 s | 21 s | 21 s | 3 | 2 | 31 ms | 42 ms | 26% |" in text
    assert "- SQLite: at most 6.0 epochs and 24 calls a second, which is 360 folds whose epochs take a minute; " in text
    assert "a try is refused first with 16 folds, and a begin waits longer than 10 s first with 8 folds. In" in text
    assert "the store lacked 3 of what was logged" in text
    assert "a try is never refused here, and a begin never waits longer than 10 s here. In" in text
    assert "the store lacked nothing of what was logged, and had no runs twice." in text
    assert "the load of the machine was 4.2." in text
    assert "Made by `python -m benchmarks.scaling --folds 1 16 --seconds 12`." in text
    assert "PostgreSQL: not measured (it is missing)." in text
    assert "| checkpoints | 1.0 | 200.0 MB |" in text
    assert "| all | 7.0 | 200.0 MB |" in text
    assert "\n\nCPU:\n\n" in text
    assert "| 16 | 2.5 h | 1.2 h | 99% | 46%, 12 s, 1.23% |" in text.replace(" 46%, 12 s, 1.23% | 46%", " 46%")
