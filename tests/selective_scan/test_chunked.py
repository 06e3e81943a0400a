"""The plain-torch scan against the reference, and that it needs nothing but ATen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from medmamba_monai.selective_scan.chunked import chunked_directional_scan, chunked_selective_scan
from medmamba_monai.selective_scan.inputs import ScanInputs
from medmamba_monai.selective_scan.reference import reference_directional_scan, reference_selective_scan
from tests.helpers.scan_inputs import NAMES, gradients, in_float64, make_inputs, relative_error
from tests.helpers.sequences import make_sequences


class Scan(nn.Module):
    """A module that scans, to script and export."""

    def forward(self, u: Tensor, projected: Tensor, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, D: Tensor) -> Tensor:
        return chunked_directional_scan(ScanInputs(u, projected, dt_weight, dt_bias, A, D, [3, 4]))


@pytest.mark.parametrize("spatial_shape", [(1,), (2,), (7,), (1, 1), (5, 7), (2, 3, 4)])
def test_value_and_gradients_are_those_of_the_reference(spatial_shape: tuple[int, ...]) -> None:
    inputs = make_inputs(spatial_shape, dtype=torch.float64)
    y = chunked_directional_scan(ScanInputs(*inputs, list(spatial_shape)))
    truth = reference_directional_scan(ScanInputs(*inputs, list(spatial_shape)))
    errors = map(relative_error, gradients(y, inputs), gradients(truth, inputs))
    assert relative_error(y, truth) < 1e-13
    assert all(error < 1e-12 for error in errors)


@pytest.mark.parametrize("groups", [None, 2, 4])
def test_sequences_are_scanned_as_in_the_reference(groups: int | None) -> None:
    sequences = make_sequences(groups)
    y = chunked_selective_scan(*sequences, delta_softplus=True)
    torch.testing.assert_close(y, reference_selective_scan(*sequences, delta_softplus=True))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 20.0])
def test_small_and_large_steps_stay_accurate_in_float32(scale: float) -> None:
    inputs = make_inputs((9, 11))
    inputs[2], inputs[3] = ((tensor.detach() * scale).requires_grad_() for tensor in inputs[2:4])
    doubles = in_float64(inputs)
    y = chunked_directional_scan(ScanInputs(*inputs, [9, 11]))
    truth = reference_directional_scan(ScanInputs(*doubles, [9, 11]))
    errors = map(relative_error, gradients(y, inputs), gradients(truth, doubles))
    assert relative_error(y, truth) < 1e-6
    assert {name: error for name, error in zip(NAMES, errors, strict=True) if error > 1e-5} == {}


def test_huge_steps_overflow_nowhere() -> None:
    inputs = make_inputs((9, 11))
    inputs[3] = (inputs[3].detach() + 1e5).requires_grad_()
    y = chunked_directional_scan(ScanInputs(*inputs, [9, 11]))
    assert all(tensor.isfinite().all() for tensor in (y, *gradients(y, inputs)))


def test_it_can_be_differentiated_twice() -> None:
    inputs = make_inputs((1, 3), batch=1, channels=2, state_size=1, rank=1, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(lambda *args: chunked_directional_scan(ScanInputs(*args, [1, 3])), inputs)


def test_scripted_and_saved_it_loads_without_a_custom_operator(tmp_path: Path) -> None:
    torch.jit.script(Scan()).save(tmp_path / "scan.pt")
    loaded, inputs = torch.jit.load(tmp_path / "scan.pt"), make_inputs((3, 4))
    torch.testing.assert_close(loaded(*inputs), Scan()(*inputs))
    assert "medmamba_monai::" not in str(loaded.inlined_graph)


def test_exported_it_consists_of_aten_operators() -> None:
    program = torch.export.export(Scan(), tuple(make_inputs((3, 4))))
    operators = [node.target for node in program.graph.nodes if isinstance(node.target, torch._ops.OpOverload)]
    assert {operator.namespace for operator in operators} == {"aten"}


def test_autocast_leaves_it_in_float32() -> None:
    inputs = make_inputs((3, 4))
    with torch.autocast("cpu", torch.bfloat16):
        y = chunked_directional_scan(ScanInputs(*inputs, [3, 4]))
    assert torch.equal(y, chunked_directional_scan(ScanInputs(*inputs, [3, 4])))
