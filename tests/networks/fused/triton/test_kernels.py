"""The Triton kernels of a block give what PyTorch's operations give, in Triton's interpreter and on a GPU."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch
from torch import Tensor

from medmamba_monai.networks import MedMamba, blocks
from medmamba_monai.networks.fused import operators
from tests.helpers.interpret_triton import import_interpreted

pytest.importorskip("triton", reason="triton is not installed (pip install triton, Linux)")

MODULES = (
    *(f"selective_scan.triton.{name}" for name in ("forward", "backward", "finish", "layout", "launch")),
    *(f"networks.fused.triton.{name}" for name in ("norms", "elementwise", "launch")),
)
EPS = 1e-5


@pytest.fixture(scope="module")
def interpreted() -> Iterator[ModuleType]:
    """The module ``launch`` with interpreted kernels, known to this file only."""
    with import_interpreted(operators.LAUNCH, [f"medmamba_monai.{name}" for name in MODULES]) as module:
        yield module


@pytest.fixture
def kernels(interpreted: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The same with programs of a few rows, two where each has many, so that few rows are divided as many are."""
    monkeypatch.setattr(interpreted, "NUMBERS", 32)
    monkeypatch.setattr(interpreted, "PROGRAMS", 2)
    return interpreted


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return (torch.randn(*shape) * 1.5 + 0.3).to(dtype)


def check(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        assert one.is_contiguous()
        rounding = 2**-7 if one.dtype == torch.bfloat16 else 0  # the interpreter cuts what a GPU rounds
        torch.testing.assert_close(one, other, rtol=rounding, atol=2e-6 * max(other.abs().max().item(), 1))


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


WIDTHS = pytest.mark.parametrize("width", [5, 16])
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


@WIDTHS
@DTYPES
def test_a_split_and_its_gradient(kernels: ModuleType, width: int, dtype: torch.dtype) -> None:
    tokens, weight, bias = draw(2, 1, 3, 2 * width), draw(width), draw(width)
    expected = operators.split_norm(tokens, weight, bias, EPS, dtype)
    check(kernels.split_norm(tokens, weight, bias, EPS, dtype), expected)
    branches = [draw(2, 1, 3, width, dtype=dtype) for _ in range(3)]
    saved = draw(2, 1, 3, 2 * width), tokens, *expected[2:], weight, bias
    found = kernels.split_norm_backward(*branches, *saved)
    check(found, operators.split_norm_backward(*(branch.float() for branch in branches), *saved))


@WIDTHS
@DTYPES
def test_a_gate_and_its_gradient(kernels: ModuleType, width: int, dtype: torch.dtype) -> None:
    y, gate, weight, bias = draw(2, 3, width), draw(2, 3, width, dtype=dtype), draw(width), draw(width)
    expected = operators.norm_gate(y, gate.float(), weight, bias, EPS, dtype)
    check(kernels.norm_gate(y, gate, weight, bias, EPS, dtype), expected)
    saved = y, gate, *expected[1:], weight, bias, EPS
    grad = draw(2, 3, width, dtype=dtype)
    of_y, of_gate, of_parameters = operators.norm_gate_backward(grad, y, gate.float(), *saved[2:])
    check(kernels.norm_gate_backward(grad, *saved), (of_y, of_gate.to(dtype), of_parameters))


def test_rows_of_large_numbers_with_small_differences(kernels: ModuleType) -> None:
    y, ones = 1e4 + draw(1, 3, 16), torch.ones(16)
    found = kernels.norm_gate(y, ones.expand(1, 3, 16), ones, 0 * ones, EPS, torch.float32)[0]
    truth = torch.nn.functional.layer_norm(y.double(), [16]) / (1 + math.exp(-1))
    torch.testing.assert_close(found.double(), truth, rtol=0, atol=2e-3)


@pytest.mark.parametrize("keep", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("scaled", [True, False])
@DTYPES
def test_branches_are_merged(kernels: ModuleType, keep: float, scaled: bool, dtype: torch.dtype) -> None:
    tokens, near, far = draw(4, 3, 14), draw(4, 3, 7, dtype=dtype), draw(4, 3, 7, dtype=dtype)
    torch.manual_seed(5)
    expected, factor = operators.merge_branches(tokens, near.float(), far.float(), keep, scaled)
    torch.manual_seed(5)
    found, own_factor = kernels.merge_branches(tokens, near, far, keep, scaled)
    check((found,), (expected,))
    assert torch.equal(own_factor.float(), factor)
    grad = draw(4, 3, 14)
    expected_gradients = operators.merge_branches_backward(grad, near, own_factor)
    check(kernels.merge_branches_backward(grad, near, own_factor), expected_gradients)


def test_what_is_no_number_stays_seen(kernels: ModuleType) -> None:
    tokens, near, far = draw(1, 1, 4), torch.tensor([[[math.nan, -1.0]]]), draw(1, 1, 2)
    found = kernels.merge_branches(tokens, near, far, 1.0, False)[0]
    assert found.isnan().tolist() == [[[True, False, False, False]]]


@DTYPES
def test_functions_of_single_numbers(kernels: ModuleType, dtype: torch.dtype) -> None:
    grad, other, x = (draw(3, 11, dtype=dtype) for _ in range(3))
    expected = operators.silu_backward_of_sum(grad.float(), other.float(), x.float())
    check((kernels.silu_backward_of_sum(grad, other, x),), (expected.to(dtype),))
    check((kernels.negative_exp(x.float()),), (operators.negative_exp(x.float()),))


def test_tensors_may_lie_in_memory_in_any_order(kernels: ModuleType) -> None:
    tokens, weight, bias = draw(2, 16, 6).mT, draw(8), draw(8)
    expected = operators.split_norm(tokens.contiguous(), weight, bias, EPS, torch.float32)
    check(kernels.split_norm(tokens, weight, bias, EPS, torch.float32), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_a_network_on_a_gpu_gives_what_its_modules_give(
    training: bool, half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = MedMamba(2, 3, 4, depths=(2, 1), channels=(32, 96), drop_path_rate=0.0).cuda().train(training)
    plain, x = copy.deepcopy(net), torch.randn(3, 3, 36, 44, device="cuda")

    def run(network: MedMamba) -> list[Tensor]:
        with torch.autocast("cuda", torch.bfloat16, enabled=half):
            logits = network(x)
        logits.float().square().sum().backward()
        return [logits.float(), *(parameter.grad for parameter in network.parameters())]

    assert operators._find_kernels(x.device) is not None
    found = run(net)
    monkeypatch.setattr(blocks, "can_fuse", lambda *given: False)
    for one, other in zip(found, run(plain), strict=True):
        assert (one - other).norm() <= (5e-2 if half else 1e-3) * other.norm()
