"""The reference against sums written out by hand, closed forms and numerical derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medmamba_monai.selective_scan import scan_orders
from medmamba_monai.selective_scan.inputs import ScanInputs
from medmamba_monai.selective_scan.reference import reference_directional_scan, reference_selective_scan
from tests.helpers.scan_inputs import make_inputs
from tests.helpers.sequences import make_sequences


def test_without_decay_the_state_is_a_running_sum() -> None:
    u, delta, A, B, C, *_ = make_sequences()
    y = reference_selective_scan(u, delta, torch.zeros_like(A), B, C)
    states = torch.cumsum((delta * u)[:, :, None] * B[:, None], dim=-1)
    torch.testing.assert_close(y, (states * C[:, None]).sum(2))


def test_an_impulse_decays_exponentially() -> None:
    u, delta, A, B, C, *_ = make_sequences()
    u[:, :, 1:] = 0
    y = reference_selective_scan(u, delta.abs(), A, B, C)
    passed = delta.abs().cumsum(-1) - delta.abs()[:, :, :1]
    written = (delta.abs() * u)[:, :, :1, None] * B[:, None, :, 0, None].mT
    decayed = written * torch.exp(A[:, None] * passed[..., None])
    torch.testing.assert_close(y, (decayed * C.mT[:, None]).sum(-1))


def test_skip_bias_and_softplus_are_applied() -> None:
    u, delta, A, B, C, D, bias = make_sequences()
    y = reference_selective_scan(u, delta, A, B, C, D, bias, delta_softplus=True)
    plain = reference_selective_scan(u, torch.log1p(torch.exp(delta + bias[:, None])), A, B, C)
    torch.testing.assert_close(y, plain + D[:, None] * u)


def test_groups_serve_neighboring_channels() -> None:
    u, delta, A, B, C, *_ = make_sequences(groups=2)
    y = reference_selective_scan(u, delta, A, B, C)
    halves = [slice(0, 2), slice(2, 4)]
    separate = [reference_selective_scan(u[:, h], delta[:, h], A[h], B[:, g], C[:, g]) for g, h in enumerate(halves)]
    torch.testing.assert_close(y, torch.cat(separate, dim=1))


def test_selective_scan_has_the_derivatives_of_its_values() -> None:
    inputs = [tensor.requires_grad_() for tensor in make_sequences(groups=2)]
    assert torch.autograd.gradcheck(lambda *args: reference_selective_scan(*args, delta_softplus=True), inputs)


def test_directional_scan_is_its_definition_in_scalars() -> None:
    spatial_shape = [2, 3]
    inputs = make_inputs((2, 3), batch=1, channels=2, state_size=2, rank=2, dtype=torch.float64)
    u, projected, dt_weight, dt_bias, A, D = (tensor.detach().numpy() for tensor in inputs)
    expected = np.zeros((6, 2))
    for k, order in enumerate(scan_orders(spatial_shape, torch.device("cpu")).numpy()):
        for c in range(2):
            state = np.zeros(2)
            for token in order:
                row = projected[0, token, k]
                delta = np.log1p(np.exp(dt_weight[k, c] @ row[:2] + dt_bias[k, c]))
                state = np.exp(delta * A[k, c]) * state + delta * u[0, token, c] * row[2:4]
                expected[token, c] += state @ row[4:6] + D[k, c] * u[0, token, c]
    y = reference_directional_scan(ScanInputs(*inputs, spatial_shape))
    np.testing.assert_allclose(y[0].detach().numpy(), expected, rtol=1e-12)


@pytest.mark.long
def test_directional_scan_has_the_derivatives_of_its_values() -> None:
    inputs = make_inputs((2, 3), channels=2, state_size=2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *args: reference_directional_scan(ScanInputs(*args, [2, 3])), inputs)
