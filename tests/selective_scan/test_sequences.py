"""The classic signature: its backends agree, and wrong input is named."""

from __future__ import annotations

import pytest
import torch

from medmamba_monai.selective_scan import selective_scan
from medmamba_monai.selective_scan.reference import reference_selective_scan
from tests.helpers.scan_inputs import relative_error
from tests.helpers.sequences import make_sequences


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


def sequences_of(batch: int, channels: int, length: int) -> list[torch.Tensor]:
    """Draw u, delta, A, B and C in float32."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(batch, channels, length)] * 2 + [(channels, 3)] + [(batch, 3, length)] * 2
    u, delta, A, B, C = (torch.randn(shape, generator=generator) for shape in shapes)
    return [u, delta, -A.exp(), B, C]


@pytest.mark.parametrize("backend", ["torch", "numba"])
@pytest.mark.parametrize(("batch", "channels", "length"), [(0, 4, 5), (1, 1, 1), (2, 33, 70)])
def test_odd_sizes_are_scanned(batch: int, channels: int, length: int, backend: str) -> None:
    sequences = sequences_of(batch, channels, length)
    y = selective_scan(*sequences, delta_softplus=True, backend=backend)
    torch.testing.assert_close(y, reference_selective_scan(*sequences, delta_softplus=True), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_strides_do_not_matter(backend: str) -> None:
    sequences = sequences_of(2, 5, 6)
    strided = [tensor.mT.contiguous().mT for tensor in sequences]
    y, expected = (selective_scan(*tensors, backend=backend) for tensors in (strided, sequences))
    torch.testing.assert_close(y, expected)


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_compiled_and_exported_it_gives_the_same(backend: str) -> None:
    class Scan(torch.nn.Module):
        def forward(self, *sequences: torch.Tensor) -> torch.Tensor:
            return selective_scan(*sequences, delta_softplus=True, backend=backend)

    sequences = sequences_of(2, 5, 6)
    expected = Scan()(*sequences)
    compiled = torch.compile(Scan(), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*sequences), expected)
    torch.testing.assert_close(torch.export.export(Scan(), tuple(sequences)).module()(*sequences), expected)


@pytest.mark.parametrize("backend", ["auto", "torch", "numba"])
def test_autocast_does_not_change_the_result(backend: str) -> None:
    sequences = sequences_of(2, 5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        y = selective_scan(*sequences, backend=backend)
    torch.testing.assert_close(y, selective_scan(*sequences, backend=backend))


def test_nothing_to_scan_is_refused() -> None:
    sequences = sequences_of(2, 5, 6)
    sequences[0] = sequences[0][..., :0]
    with pytest.raises(ValueError, match="at least one channel, token and state"):
        selective_scan(*sequences)


def test_tensors_on_two_devices_are_refused() -> None:
    sequences = sequences_of(2, 5, 6)
    with pytest.raises(ValueError, match="A is on meta, u is on cpu"):
        selective_scan(*sequences[:2], sequences[2].to("meta"), *sequences[3:])


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
