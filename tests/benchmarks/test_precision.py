from __future__ import annotations

import pytest
import torch

from benchmarks.precision import compare_curves, main


@pytest.mark.apart
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_curves_of_bfloat16_lie_within_the_spread_of_seeds(capsys, device):
    """Some steps here; 200 with ``python -m benchmarks.precision``."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    steps, scan = ("200", "auto") if device == "cuda" else ("5", "torch")
    assert main(["--device", device, "--steps", steps, "--seeds", "3", "--scan_backend", scan]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"in each precision on {device}: within")


def test_curves_that_part_are_seen():
    curves = torch.linspace(1, 0, 20).repeat(3, 1) + torch.tensor([[0.0], [0.1], [0.2]])
    _, distance, spread = compare_curves(curves, curves + 0.5)
    assert torch.allclose(distance, torch.full((5,), 0.5))
    assert torch.allclose(spread, torch.full((5,), 0.2))
