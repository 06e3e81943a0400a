"""The classic signature: its backends agree, and wrong input is named."""

from __future__ import annotations

import pytest
import torch
from test_reference import make_sequences

from medmamba_monai.errors import UserError
from medmamba_monai.selective_scan import selective_scan
from medmamba_monai.selective_scan.reference import reference_selective_scan


@pytest.mark.parametrize("backend", ["auto", "reference", "torch"])
@pytest.mark.parametrize("groups", [None, 2])
def test_backends_agree_with_the_reference(backend: str, groups: int | None) -> None:
    sequences = make_sequences(groups)
    y = selective_scan(*sequences, delta_softplus=True, backend=backend)
    torch.testing.assert_close(y, reference_selective_scan(*sequences, delta_softplus=True))


@pytest.mark.parametrize("backend", ["auto", "reference", "torch"])
def test_half_precision_is_computed_in_float32(backend: str) -> None:
    sequences = [tensor.bfloat16() for tensor in make_sequences()]
    y = selective_scan(*sequences, delta_softplus=True, backend=backend)
    expected = reference_selective_scan(*[tensor.float() for tensor in sequences], delta_softplus=True)
    torch.testing.assert_close(y, expected)


def test_a_backend_of_the_other_operator_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="'numba' does not offer this operator: choose one of auto, reference, torch"):
        selective_scan(*make_sequences(), backend="numba")


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
