"""What is written of searches within several budgets."""

from __future__ import annotations

from benchmarks.auto import auto_part

MACHINE = {
    "threads": 1,
    "cores": 2,
    "cpu": "a CPU",
    "revision": "0123456789ab",
    "date": "2026-11-29",
    "packages": {"torch": "2"},
}


def test_a_row_says_what_a_budget_came_to_on_images_that_no_choice_had_seen() -> None:
    search = {
        **{"budget": 600.0, "spent": 481.0, "candidates": 2, "winner": "small", "folds": 4, "epochs": 3, "images": 624},
        "chosen_by": 0.99331,
        "test": {
            "auc": {"value": 0.96049, "low": 0.9409, "high": 0.9732},
            "accuracy": {"value": 0.875, "low": None, "high": None},
        },
    }
    text = auto_part({"machine": MACHINE, "searches": [search]})
    row = "| 10 min | 8 min | 2 | small | 4 folds of 3 epochs | 0.9933 | 0.9605 (0.9409 to 0.9732) | 87.5 |"
    assert row in text
    assert "on the 624 test images" in text
    assert "commit 0123456789, torch 2" in text
