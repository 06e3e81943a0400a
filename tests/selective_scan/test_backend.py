"""What every backend has to be: one object with the same methods, the same meaning, and one place in a table."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import medmamba_monai.selective_scan as package
from medmamba_monai.core.errors import UserError
from medmamba_monai.selective_scan import BACKENDS, Backend, ScanInputs, backends, directional_scan, selective_scan
from medmamba_monai.selective_scan.chunked import chunked_directional_scan
from tests.helpers.scan_inputs import in_float64, make_inputs, relative_error
from tests.helpers.sequences import make_sequences

ON_CPU = ("reference", "torch", "numba")


def inputs_with_delta(dtype: torch.dtype, softplus: bool, rank: int) -> ScanInputs:
    """Draw the first three directions of a map with step sizes of its own, not negative without softplus."""
    u, projected, dt_weight, dt_bias, A, D = make_inputs((3, 4), rank=2)
    delta = torch.rand(2, 12, 3, 5, generator=torch.Generator().manual_seed(2))
    scale = 1.0 if softplus else 0.0
    tensors = [u, projected[:, :, :3, 2 - rank :], scale * dt_weight[:3, :, :rank], scale * dt_bias[:3], A[:3], D[:3]]
    *of_map, delta = [tensor.detach().to(dtype).contiguous() for tensor in (*tensors, delta)]
    return ScanInputs(*of_map, [3, 4], delta, softplus)


def grad_like(y: Tensor) -> Tensor:
    return torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(y.dtype)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_says_what_it_is(name: str) -> None:
    backend = BACKENDS[name]
    assert isinstance(backend, Backend)
    assert backend.name == name
    assert backend.available() == (backend.find_import_failure() is None)
    assert bool(backend.modules) == bool(backend.install)


def test_auto_goes_through_the_fast_ones_by_their_speed() -> None:
    assert backends.FASTEST_FIRST == ("triton", "mamba_ssm", "numba", "torch")


@pytest.mark.parametrize("name", ON_CPU)
@pytest.mark.parametrize(("softplus", "rank"), [(True, 2), (True, 0), (False, 0)])
def test_every_backend_scans_steps_of_their_own_and_fewer_directions(name: str, softplus: bool, rank: int) -> None:
    inputs, doubles = (inputs_with_delta(dtype, softplus, rank) for dtype in (torch.float32, torch.float64))
    doubles = doubles.replace_tensors(tensor.requires_grad_() for tensor in doubles.tensors)
    y, states = BACKENDS[name].forward(inputs, True)
    truth, _ = BACKENDS["reference"].forward(doubles, False)
    assert relative_error(y, truth) < 5e-7
    assert list(states.shape) == BACKENDS[name].states_shape(inputs)
    found = BACKENDS[name].backward(grad_like(y), states, inputs)
    wanted = [tensor for tensor in doubles.tensors if tensor.numel()]
    expected = torch.autograd.grad((truth * grad_like(truth)).sum(), wanted)
    assert [gradient.shape for gradient in found] == [tensor.shape for tensor in inputs.tensors]
    for mine, true in zip((gradient for gradient in found if gradient.numel()), expected, strict=True):
        assert relative_error(mine, true) < 2e-6


@pytest.mark.parametrize("name", ON_CPU)
def test_states_are_not_saved_where_nobody_asks(name: str) -> None:
    inputs = ScanInputs(*[tensor.detach() for tensor in make_inputs((3, 4))], [3, 4])
    assert BACKENDS[name].forward(inputs, False)[1].numel() == 0


def bytes_for_backward(backend: str) -> int:
    sizes: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.nbytes) or t, lambda t: t):
        directional_scan(*make_inputs((9, 11), state_size=16), [9, 11], backend=backend)
    return sum(sizes)


def test_the_torch_backend_saves_its_inputs_alone_by_name_and_by_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "FASTEST_FIRST", ("torch",))
    inputs = sum(tensor.nbytes for tensor in make_inputs((9, 11), state_size=16))
    assert bytes_for_backward("torch") == bytes_for_backward("auto") == inputs


def test_plain_operations_save_more_than_fourteen_times_as_much() -> None:
    sizes: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.nbytes) or t, lambda t: t):
        chunked_directional_scan(ScanInputs(*make_inputs((9, 11), state_size=16), [9, 11]))
    assert sum(sizes) > 14 * bytes_for_backward("torch")


class HalfBackend(Backend):
    """A new backend, as small as one can be."""

    name = "half"
    install = "pip install half"
    device = "cpu"

    def forward(self, inputs: ScanInputs, save_states: bool) -> tuple[Tensor, Tensor]:
        return 0.5 * chunked_directional_scan(inputs), inputs.u.new_empty(0)


def test_a_new_backend_is_a_class_and_a_place_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "half", HalfBackend())
    inputs = make_inputs((3, 4))
    half, whole = (directional_scan(*inputs, [3, 4], backend=name) for name in ("half", "torch"))
    torch.testing.assert_close(2 * half, whole)
    found, expected = (torch.autograd.grad(y.square().sum(), inputs, retain_graph=True) for y in (half, whole))
    torch.testing.assert_close([4 * gradient for gradient in found], list(expected))
    with pytest.raises(UserError, match="'half' computes in float32, these tensors are float64"):
        directional_scan(*in_float64(inputs), [3, 4], backend="half")
    sequences = [tensor.float() for tensor in make_sequences(2)]
    y = selective_scan(*sequences, delta_softplus=True, backend="half")
    torch.testing.assert_close(2 * y, selective_scan(*sequences, delta_softplus=True, backend="torch"))


def test_a_name_is_spelt_in_the_module_of_its_backend_and_nowhere_else() -> None:
    modules: dict[str, set[Path]] = {}
    for path in Path(package.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in BACKENDS:
                modules.setdefault(node.value, set()).add(path)
    assert modules == {name: {Path(str(sys.modules[type(b).__module__].__file__))} for name, b in BACKENDS.items()}
