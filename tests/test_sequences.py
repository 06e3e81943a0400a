"""The classic signature: its backends agree, and wrong input is named."""

from __future__ import annotations

import pytest
import torch
from scan_inputs import relative_error
from test_reference import make_sequences

from medmamba_monai.selective_scan import selective_scan
from medmamba_monai.selective_scan.reference import reference_selective_scan


@pytest.mark.parametrize("backend", ["auto", "reference", "torch", "numba"])
@pytest.mark.parametrize("groups", [None, 2])
def test_backends_agree_with_the_reference(backend: str, groups: int | None) -> None:
    sequences = [tensor.float() for tensor in make_sequences(groups)]
    y = selective_scan(*sequences, delta_softplus=True, backend=backend)
    torch.testing.assert_close(y, reference_selective_scan(*sequences, delta_softplus=True))


@pytest.mark.parametrize("backend", ["auto", "reference", "torch"])
def test_float64_is_kept(backend: str) -> None:
    sequences = make_sequences()
    torch.testing.assert_close(selective_scan(*sequences, backend=backend), reference_selective_scan(*sequences))


@pytest.mark.parametrize("backend", ["auto", "reference", "torch", "numba"])
def test_half_precision_is_computed_in_float32(backend: str) -> None:
    sequences = [tensor.bfloat16() for tensor in make_sequences()]
    y = selective_scan(*sequences, delta_softplus=True, backend=backend)
    expected = reference_selective_scan(*[tensor.float() for tensor in sequences], delta_softplus=True)
    torch.testing.assert_close(y, expected)


@pytest.mark.parametrize("softplus", [False, True])
@pytest.mark.parametrize("groups", [None, 2])
def test_gradients_of_the_fused_kernel_are_those_of_the_reference(groups: int | None, softplus: bool) -> None:
    found, expected = (
        [tensor.to(dtype).requires_grad_() for tensor in make_sequences(groups)]
        for dtype in (torch.float32, torch.float64)
    )
    for sequences, backend in ((found, "numba"), (expected, "reference")):
        y = selective_scan(*sequences, delta_softplus=softplus, backend=backend)
        (y * torch.arange(y.numel()).view(y.shape)).sum().backward()
    for mine, truth in zip(found, expected, strict=True):
        assert relative_error(mine.grad, truth.grad) < 2e-6


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_skip_and_bias_may_be_left_out(backend: str) -> None:
    u, delta, A, B, C, *_ = (tensor.float() for tensor in make_sequences())
    y = selective_scan(u, delta.abs(), A, B, C, backend=backend)
    torch.testing.assert_close(y, reference_selective_scan(u, delta.abs(), A, B, C))


@pytest.mark.parametrize(
    ("position", "name"), [(1, "delta"), (2, "A"), (3, "B"), (4, "C"), (5, "D"), (6, "delta_bias")]
)
def test_a_wrong_shape_is_named(position: int, name: str) -> None:
    sequences = make_sequences()
    sequences[position] = sequences[position][:-1]
    with pytest.raises(ValueError, match=f"^{name} must have shape"):
        selective_scan(*sequences)


def test_channels_that_do_not_divide_into_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="4 channels cannot be divided among the 3 groups"):
        selective_scan(*make_sequences(groups=3))
