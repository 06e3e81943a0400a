"""The Numba kernels: accuracy, determinism, odd numbers, threads and processes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import BaseContext
from multiprocessing.queues import Queue
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from medmamba_monai.selective_scan import directional_scan
from tests.helpers.scan_inputs import NAMES, gradients, in_float64, make_inputs, relative_error
from tests.helpers.small_bundle import ROOT, run_command
from tests.helpers.warm_commands import warm_context

numba = pytest.importorskip("numba")

from medmamba_monai.selective_scan.numba import forward as numba_forward  # noqa: E402
from medmamba_monai.selective_scan.numba import launch  # noqa: E402
from medmamba_monai.selective_scan.numba.vector import LANES  # noqa: E402


def scan_with_gradients(inputs: list[Tensor], spatial_shape: tuple[int, ...]) -> list[Tensor]:
    y = directional_scan(*inputs, list(spatial_shape), backend="numba")
    return [y.detach(), *gradients(y, inputs)]


@pytest.mark.parametrize("scale", [1.0, 20.0])
@pytest.mark.parametrize(
    ("spatial_shape", "state_size"),
    [((1, 1), 16), ((7, 7), 16), ((28, 28), 16), pytest.param((112, 112), 4, marks=pytest.mark.slow)],
)
def test_errors_against_float64_stay_within_the_rounding_of_float32(
    spatial_shape: tuple[int, ...], state_size: int, scale: float
) -> None:
    inputs = make_inputs(spatial_shape, batch=1, channels=16, state_size=state_size, rank=3)
    inputs[2], inputs[3] = ((tensor.detach() * scale).requires_grad_() for tensor in inputs[2:4])
    doubles = in_float64(inputs)
    y, *found = scan_with_gradients(inputs, spatial_shape)
    truth = directional_scan(*doubles, list(spatial_shape), backend="torch")
    errors = dict(zip(NAMES, map(relative_error, found, gradients(truth, doubles)), strict=True))
    assert relative_error(y, truth) <= 5e-7
    assert {name: error for name, error in errors.items() if error > 2e-6} == {}


def make_halves(dtype: torch.dtype, **sizes: int) -> list[Tensor]:
    """Draw inputs as autocast hands them over: tokens and what is projected of them are rounded."""
    u, projected, *parameters = (tensor.detach() for tensor in make_inputs((9, 10), **sizes))
    return [tensor.requires_grad_() for tensor in (u.to(dtype), projected.to(dtype), *parameters)]


def scan_under_autocast(inputs: list[Tensor], dtype: torch.dtype) -> Tensor:
    with torch.autocast("cpu", dtype):
        return directional_scan(*inputs, [9, 10], backend="numba")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("batch", [1, 2])
def test_under_autocast_results_are_those_of_float32_rounded(dtype: torch.dtype, batch: int) -> None:
    halves = make_halves(dtype, batch=batch, channels=21)
    singles = [tensor.detach().float().requires_grad_() for tensor in halves]
    y, expected = scan_under_autocast(halves, dtype), directional_scan(*singles, [9, 10], backend="numba")
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    found, truth = torch.autograd.grad(y, halves, weight), torch.autograd.grad(expected, singles, weight.float())
    assert y.dtype == dtype
    assert y.equal(expected.to(dtype))
    assert [gradient.dtype for gradient in found] == [tensor.dtype for tensor in halves]
    for name, gradient, of_singles in zip(NAMES, found, truth, strict=True):
        assert gradient.equal(of_singles.to(gradient.dtype)), name


def test_bfloat16_is_rounded_as_torch_rounds_it() -> None:
    inputs = make_halves(torch.bfloat16, channels=70)
    special = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 3.3895e38, 1e-40])
    with torch.no_grad():
        inputs[0][0, 0, :7], inputs[5][0, :7] = special, 1.00390625  # half between two of bfloat16
        y = scan_under_autocast(inputs, torch.bfloat16)
        expected = directional_scan(*(tensor.float() for tensor in inputs), [9, 10], backend="numba")
    torch.testing.assert_close(y, expected.bfloat16(), rtol=0, atol=0, equal_nan=True)


def test_opcheck_passes_for_bfloat16() -> None:
    inputs = [tensor.detach() for tensor in make_halves(torch.bfloat16)]
    operators = torch.ops.medmamba_monai
    torch.library.opcheck(operators.directional_scan_forward.default, (*inputs, [9, 10], "numba", True))
    y, states = operators.directional_scan_forward(*inputs, [9, 10], "numba", True)
    torch.library.opcheck(operators.directional_scan_backward.default, (y, states, *inputs, [9, 10], "numba"))


def test_tangents_have_the_dtype_of_the_result() -> None:
    halves = make_halves(torch.bfloat16)
    singles = [tensor.detach().float() for tensor in halves]
    tangents = [torch.randn_like(tensor) for tensor in singles]
    _, of_singles = torch.func.jvp(lambda *t: directional_scan(*t, [9, 10]), tuple(singles), tuple(tangents))
    with forward_ad.dual_level():
        moved = zip(halves, tangents, strict=True)
        duals = [forward_ad.make_dual(half.detach(), tangent.to(half.dtype)) for half, tangent in moved]
        tangent = forward_ad.unpack_dual(scan_under_autocast(duals, torch.bfloat16)).tangent
    assert tangent.dtype == torch.bfloat16
    torch.testing.assert_close(tangent.float(), of_singles, rtol=0.02, atol=0.02 * of_singles.abs().max().item())


def test_one_channel_with_huge_steps_leaves_its_neighbors_their_bits() -> None:
    inputs = [tensor.detach().requires_grad_() for tensor in make_inputs((9, 10), channels=8, state_size=4)]
    usual = scan_with_gradients(inputs, (9, 10))
    with torch.no_grad():
        inputs[3][:, 5] = 1000.0  # dt_bias
    y, grad_u, *_ = scan_with_gradients(inputs, (9, 10))
    others = [channel for channel in range(8) if channel != 5]
    assert y[..., others].equal(usual[0][..., others])
    assert grad_u[..., others].equal(usual[1][..., others])
    assert y.isfinite().all()
    assert not y[..., 5].equal(usual[0][..., 5])


@pytest.mark.parametrize("batch", [1, 3])
def test_results_are_the_same_bits_from_run_to_run(batch: int) -> None:
    inputs = make_inputs((9, 10), batch=batch, channels=70, state_size=4)
    first, second = (scan_with_gradients(inputs, (9, 10)) for _ in range(2))
    assert all(map(torch.equal, first, second))


def test_the_number_of_threads_follows_torch_and_is_put_back() -> None:
    inputs, before = make_inputs((9, 10), channels=70), torch.get_num_threads()
    several = scan_with_gradients(inputs, (9, 10))
    torch.set_num_threads(1)
    try:
        one = scan_with_gradients(inputs, (9, 10))
    finally:
        torch.set_num_threads(before)
    assert numba.get_num_threads() == numba.config.NUMBA_NUM_THREADS
    torch.testing.assert_close(one, several)


@pytest.mark.parametrize(("position", "element"), [(0, 7), (1, 0), (1, 2), (1, 7), (2, 7), (3, 7), (4, 7), (5, 7)])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_in_the_reference_is_not_finite_here(position: int, element: int, value: float) -> None:
    inputs = [tensor.detach() for tensor in make_inputs((3, 4))]
    inputs[position].view(-1)[element] = value
    y, truth = (directional_scan(*inputs, [3, 4], backend=backend) for backend in ("numba", "reference"))
    assert y.isfinite().equal(truth.isfinite())
    assert y.isnan()[truth.isnan()].all()


@pytest.mark.parametrize("position", range(6))
def test_nan_reaches_the_gradients(position: int) -> None:
    inputs = make_inputs((3, 4))
    with torch.no_grad():
        inputs[position].view(-1)[7] = float("nan")
    found, truth = (
        gradients(directional_scan(*inputs, [3, 4], backend=backend), inputs) for backend in ("numba", "reference")
    )
    for name, gradient, expected in zip(NAMES, found, truth, strict=True):
        assert gradient.isnan().equal(expected.isnan()), name


@pytest.mark.parametrize("value", [0.0, 1e-42, 1e18])
def test_zeros_denormals_and_large_values_are_scanned(value: float) -> None:
    inputs = [tensor.detach() for tensor in make_inputs((3, 4))]
    inputs[0].fill_(value)
    y, truth = (directional_scan(*inputs, [3, 4], backend=backend) for backend in ("numba", "reference"))
    assert (y - truth).norm() <= 1e-6 * truth.norm() + 1e-37


def test_denormals_still_exist_after_a_scan() -> None:
    scan_with_gradients(make_inputs((3, 4)), (3, 4))
    assert np.float32(1e-38) * np.float32(0.01) > 0


def test_python_threads_may_scan_at_the_same_time() -> None:
    inputs = [make_inputs((9, 10), seed=seed) for seed in range(8)]
    alone = [scan_with_gradients(tensors, (9, 10)) for tensors in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda tensors: scan_with_gradients(tensors, (9, 10)), inputs))
    assert all(
        torch.equal(a, b) for one, other in zip(alone, together, strict=True) for a, b in zip(one, other, strict=True)
    )


def _scan_in_child(answers: Queue) -> None:
    try:
        y = directional_scan(*[tensor.detach() for tensor in make_inputs((3, 4))], [3, 4], backend="numba")
    except ValueError as error:
        answers.put(str(error))
    else:
        answers.put(y.sum().item())


def _answer_of_child(context: BaseContext) -> str | float:
    answers = context.Queue()
    child = context.Process(target=_scan_in_child, args=(answers,), daemon=True)
    child.start()
    answer = answers.get(timeout=120)
    child.join()
    return answer


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_forked_after_a_scan_is_told_to_spawn() -> None:
    directional_scan(*make_inputs((3, 4)), [3, 4], backend="numba")
    assert "forked after its parent had used it: start workers with multiprocessing_context='spawn'" in str(
        _answer_of_child(multiprocessing.get_context("fork"))
    )


def test_a_process_that_is_no_fork_of_this_one_scans() -> None:
    expected = directional_scan(*make_inputs((3, 4)), [3, 4], backend="numba").sum().item()
    assert _answer_of_child(warm_context()) == pytest.approx(expected)


def test_a_kernel_that_cannot_be_cached_is_compiled_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    namespace: dict = {}
    exec("def double(x):\n    for i in range(len(x)):\n        x[i] *= 2", namespace)
    array = np.ones(3)
    numba_forward.cached_kernel(namespace["double"])(array)
    assert array.tolist() == [2, 2, 2]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "NUMBA_CACHE_DIR" in caplog.text


def _count_threads(threads: int, answers: Queue) -> None:
    torch.set_num_threads(threads)
    with launch.kernel_threads():
        used = numba.get_num_threads()
    directional_scan(*make_inputs((3, 4)), [3, 4], backend="numba")
    answers.put((used, torch.get_num_threads()))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_scan_of_a_process_takes_torchs_number_of_threads_and_leaves_it(threads: int) -> None:
    if threads > numba.config.NUMBA_NUM_THREADS:
        pytest.skip(f"numba has {numba.config.NUMBA_NUM_THREADS} threads here")
    context = warm_context()
    answers = context.Queue()
    child = context.Process(target=_count_threads, args=(threads, answers))
    child.start()
    assert answers.get(timeout=120) == (threads, threads)
    child.join()


@pytest.mark.slow
@pytest.mark.apart
@pytest.mark.skipif(LANES < 8, reason="needs a CPU with AVX")
@pytest.mark.parametrize(("cpu", "features", "lanes"), [("haswell", "+sse2,+avx,+avx2,+fma", 8), ("generic", "", 4)])
def test_narrower_vectors_give_the_same(tmp_path: Path, cpu: str, features: str, lanes: int) -> None:
    if lanes == LANES:
        pytest.skip(f"vectors of {lanes} are this CPU's own, which all other tests have")
    code = """
from tests.selective_scan.numba.test_numba import *
inputs = make_inputs((5, 7), channels=21)
truth = directional_scan(*inputs, [5, 7], backend="torch")
torch.testing.assert_close(scan_with_gradients(inputs, (5, 7)), [truth, *gradients(truth, inputs)])
print(LANES)
"""
    settings = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    ended, printed = run_command([sys.executable, "-c", code], tmp_path, PYTHONPATH=str(ROOT), **settings)
    assert (ended, printed.splitlines()[-1:]) == (0, [str(lanes)]), printed
