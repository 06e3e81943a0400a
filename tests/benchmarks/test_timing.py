from __future__ import annotations

import pytest

from benchmarks.timing import Times, interleave, quartiles, time_entries


class Machine:
    """A clock that only the functions move, and a record of who ran."""

    def __init__(self) -> None:
        self.now, self.ran = 0.0, ""

    def clock(self) -> float:
        return self.now

    def function(self, name: str, *durations: float):
        remaining = list(durations)

        def run() -> None:
            self.ran += name
            self.now += remaining.pop(0) if len(remaining) > 1 else remaining[0]

        return run


def measure(machine: Machine, functions, rounds: int, **options) -> Times:
    return interleave(functions, rounds, clock=machine.clock, shortest_sample=0, **options)


def test_everything_runs_once_a_round_and_each_round_starts_with_another() -> None:
    machine = Machine()
    measure(machine, {name: machine.function(name, 1.0) for name in "abc"}, 4, warmups=0)
    assert machine.ran == "abcbcacababc"


def test_ratios_are_formed_within_each_round() -> None:
    machine = Machine()  # the second round is slow for both; the ratio of the medians would be 4
    functions = {"base": machine.function("b", 1, 10, 2), "other": machine.function("o", 2, 30, 8)}
    times = measure(machine, functions, 3, warmups=0)
    assert times.seconds == {"base": [1, 10, 2], "other": [2, 30, 8]}
    assert times.ratio("other", "base") == (3.0, 2.5, 3.5)


def test_slow_functions_take_part_in_the_first_rounds_only() -> None:
    machine = Machine()
    functions = {"slow": machine.function("s", 6, 9, 9), "base": machine.function("b", 2, 3, 3)}
    times = measure(machine, functions, 3, warmups=0, fewer_rounds={"slow": 2})
    assert times.seconds["slow"] == [6, 9]
    assert times.summary("base").runs == 3
    assert times.ratio("slow", "base").median == 3


def test_warmups_are_not_samples() -> None:
    machine = Machine()
    times = measure(machine, {"a": machine.function("a", 100, 100, 1)}, 2, warmups=2)
    assert times.seconds["a"] == [1, 1]


def test_a_short_call_is_repeated_within_a_sample() -> None:
    machine = Machine()
    times = interleave({"a": machine.function("a", 0.25)}, 2, clock=machine.clock, shortest_sample=1.0)
    assert machine.ran == "a" + 2 * "aaaa"
    assert times.seconds["a"] == [0.25, 0.25]


def test_summary_is_median_minimum_and_quartile_distance() -> None:
    assert Times({"a": [4.0, 1.0, 2.0, 3.0, 5.0]}).summary("a") == (3.0, 1.0, (4 - 2) / 3, 5)


def test_a_single_sample_has_no_spread() -> None:
    assert quartiles([3.0]) == (3.0, 3.0)
    assert Times({"a": [3.0]}).summary("a").spread == 0


def test_an_interrupt_keeps_what_was_measured() -> None:
    machine = Machine()
    calls = iter(range(10))

    def impatient() -> None:
        machine.now += 1
        if next(calls) == 2:
            raise KeyboardInterrupt

    times = measure(machine, {"a": machine.function("a", 2.0), "b": impatient, "c": machine.function("c", 1)}, 9)
    assert times.interrupted
    assert times.seconds == {"a": [2.0], "b": [1.0], "c": [1.0]}
    with pytest.raises(KeyboardInterrupt):
        times.stop_if_interrupted()


def test_an_interrupt_before_the_first_sample_leaves_nothing() -> None:
    def impatient() -> None:
        raise KeyboardInterrupt

    assert interleave({"a": impatient}, 1).seconds == {}


def test_entries_hold_samples_and_the_ratio() -> None:
    first, second = time_entries(Times({"a": [2.0], "base": [4.0]}), "task", "base")
    assert (first["name"], first["median"], first["seconds"], first["ratio"]["median"]) == ("a", 2.0, [2.0], 0.5)
    assert second["ratio"] == {"to": "base", "median": 1.0, "lower": 1.0, "upper": 1.0}
    assert "ratio" not in time_entries(Times({"a": [2.0]}), "task", "base")[0]
