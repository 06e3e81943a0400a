from __future__ import annotations

import json

import pytest
import torch

from benchmarks.operators import BARS, CountOperators, count_step
from benchmarks.report import RESULTS
from medmamba_monai.networks import MedMamba

pytest.importorskip("triton", reason="triton is not installed (pip install triton, Linux)")


@pytest.mark.apart
@pytest.mark.parametrize("dtype", BARS)
def test_a_training_step_keeps_to_its_bar(dtype: str) -> None:
    counts = count_step(dtype)
    assert counts["training"]["operators"] <= BARS[dtype]
    assert counts["inference"]["operators"] < counts["training"]["operators"] / 2
    committed = json.loads((RESULTS / "operators.json").read_text())["counts"][dtype]
    assert {part: found["operators"] for part, found in counts.items()} == {
        part: found["operators"] for part, found in committed.items()
    }


def small_net() -> MedMamba:
    return MedMamba(2, 3, 2, depths=(1, 1), channels=(8, 16))


def test_counts_do_not_depend_on_the_size_of_images() -> None:
    assert count_step("float32", 32, small_net) == count_step("float32", 64, small_net)


def test_views_and_memory_do_not_count_and_casts_count_apart() -> None:
    x = torch.ones(4, 6)
    with CountOperators() as counter:
        torch.empty(3), x.view(6, 4), x.detach(), x.add(1), x.bfloat16(), x.mul_(2)
        torch._foreach_copy_([torch.empty(2)], [torch.empty(2, dtype=torch.bfloat16)])
    assert counter.found.total() == 4
    assert counter.casts == 2
    assert counter.inside == 0
