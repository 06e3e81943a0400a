"""The time of a search: what counts, how estimates are corrected, what is given up first."""

from __future__ import annotations

import math

import pytest

from medmamba_monai.auto.budget import Budget, Pace, Scope, fit_scope


def test_only_time_that_was_computed_in_counts():
    now = [100.0]
    budget = Budget(60.0, spent=20.0, clock=lambda: now[0])
    now[0] = 110.0
    assert (budget.spent, budget.left) == (30.0, 30.0)
    now[0] = 5000.0  # the process that goes on tomorrow begins with what this one had spent
    again = Budget(60.0, spent=30.0, clock=lambda: now[0])
    assert again.left == 30.0


def test_what_steps_took_corrects_the_estimate_of_those_to_come():
    pace = Pace()
    assert pace.correct("a", 10.0) == 10.0
    pace.note("a", 10.0, 20.0)
    pace.note("a", 30.0, 60.0)
    pace.note("b", 40.0, 20.0)
    assert pace.correct("a", 5.0) == pytest.approx(10.0)
    assert pace.correct("b", 5.0) == pytest.approx(2.5)
    assert pace.correct("new", 8.0) == pytest.approx(8.0 * 100 / 80)


STEPS = {"best": [0.0, 10.0, 10.0], "second": [0.0, 10.0, 10.0], "third": [0.0, 20.0, 20.0]}
NAMES = ("best", "second", "third")


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (120.0, Scope(NAMES, 3, True)),
        (80.0, Scope(("best", "second"), 3, True)),
        (55.0, Scope(("best",), 3, True)),
        (30.0, Scope(("best",), 3, False)),
        (15.0, Scope(("best",), 2, False)),
        (-5.0, Scope(("best",), 1, False)),
    ],
)
def test_finalists_go_first_then_baselines_then_folds(left, expected):
    assert fit_scope(NAMES, 3, STEPS, left, baselines=30.0) == expected


def test_no_finalist_goes_for_baselines_that_have_no_time_anyway():
    assert fit_scope(NAMES, 3, STEPS, 50.0, baselines=1000.0) == Scope(("best", "second"), 3, False)


def test_what_is_finished_is_never_given_up():
    done = {name: [0.0, 0.0] for name in ("best", "second")}
    assert fit_scope(("best", "second"), 2, done, -10.0, baselines=30.0) == Scope(("best", "second"), 2, False)


def test_folds_that_run_together_need_the_time_of_the_longest():
    steps = {"best": [0.0, 10.0, 10.0], "second": [0.0, 20.0, 20.0]}
    assert fit_scope(("best", "second"), 3, steps, 20.0, baselines=0.0, at_once=math.inf).finalists == (
        "best",
        "second",
    )
    assert fit_scope(("best", "second"), 3, steps, 20.0, baselines=0.0, at_once=2).finalists == ("best",)
    assert fit_scope(("best",), 3, steps, 9.0, baselines=0.0, at_once=math.inf).folds == 1
