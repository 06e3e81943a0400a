from __future__ import annotations

import pytest
import torch

from benchmarks import accuracy
from benchmarks.accuracy import CASES, Shape, accuracy_table, errors_of, make_inputs, special_values

SHAPE = Shape(1, (3, 4), 6, state_size=4, rank=2)


def step_sizes(case: str) -> torch.Tensor:
    return torch.nn.functional.softplus(make_inputs(SHAPE, case)[3])


def test_inputs_are_those_of_a_new_network() -> None:
    steps = step_sizes("dt x 1")
    assert steps.min() >= 0.001
    assert steps.max() <= 0.1


def test_steps_twenty_times_as_large_are_so() -> None:
    torch.testing.assert_close(step_sizes("dt x 20"), 20 * step_sizes("dt x 1"))


def test_float64_starts_from_the_same_numbers() -> None:
    for single, double in zip(make_inputs(SHAPE), make_inputs(SHAPE, dtype=torch.float64), strict=True):
        assert torch.equal(single.double(), double)


def test_updates_are_counted_over_all_directions() -> None:
    assert Shape(2, (3, 4, 5), 7, 8).updates == 2 * 60 * 7 * 6 * 8


def test_a_correct_backend_meets_the_bars_in_every_gradient() -> None:
    (entry,) = errors_of(["torch"], SHAPE, "dt x 1")
    assert entry["met"] is True
    assert list(entry["errors"]) == ["y", *accuracy.INPUTS]
    assert 0 < entry["errors"]["y"] < 1e-6


def test_a_wrong_gradient_misses_the_bars(monkeypatch) -> None:
    right = accuracy.scan_and_gradients

    def wrong(inputs, spatial, backend):
        values = right(inputs, spatial, backend)
        return values if backend == "reference" else [*values[:-1], values[-1] * (1 + 1e-5)]

    monkeypatch.setattr(accuracy, "scan_and_gradients", wrong)
    (entry,) = errors_of(["torch"], SHAPE, "dt x 1")
    assert entry["met"] is False
    assert "NOT MET" in accuracy_table([entry])


def test_nan_misses_the_bars_and_can_be_written(monkeypatch) -> None:
    monkeypatch.setattr(accuracy, "relative_error", lambda value, truth: float("nan"))
    (entry,) = errors_of(["torch"], SHAPE, "dt x 1")
    assert entry["met"] is False
    assert entry["errors"]["y"] == "nan"


@pytest.mark.parametrize(("backend", "case"), [("reference", CASES[0]), ("torch", accuracy.WITHOUT_BAR)])
def test_what_is_shown_for_comparison_has_no_bar(backend: str, case: str) -> None:
    (entry,) = errors_of([backend], SHAPE, case)
    assert entry["met"] is None
    assert "no bar" in accuracy_table([entry])


def test_special_values_are_met() -> None:
    bars = special_values("torch")
    assert len(bars) == 6
    assert [bar.text for bar in bars if not bar.met] == []


def test_a_backend_that_hides_nan_is_seen(monkeypatch) -> None:
    right = accuracy.scan

    def hiding(inputs, spatial, backend="auto"):
        y = right(inputs, spatial, backend)
        return y if backend == "reference" else y.nan_to_num()

    monkeypatch.setattr(accuracy, "scan", hiding)
    assert [bar.met for bar in special_values("torch")] == [True] * 3 + [False] * 3


def test_backends_of_the_cpu_include_the_plain_ones() -> None:
    assert {"reference", "torch"} <= set(accuracy.backends_on("cpu"))
    assert "mamba_ssm" not in accuracy.backends_on("cpu")
