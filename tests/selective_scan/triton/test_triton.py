"""The Triton backend: its kernels in Triton's interpreter, on CPU tensors, and on a GPU where there is one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch
from torch import Tensor

from medmamba_monai.selective_scan import directional_scan, selective_scan
from medmamba_monai.selective_scan.inputs import ScanInputs
from medmamba_monai.selective_scan.reference import reference_directional_scan, reference_selective_scan
from tests.helpers.interpret_triton import import_interpreted
from tests.helpers.scan_inputs import NAMES, gradients, in_float64, make_inputs, relative_error
from tests.helpers.sequences import make_sequences

pytest.importorskip("triton", reason="triton is not installed (pip install triton, Linux)")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

PACKAGE = "medmamba_monai.selective_scan.triton"
MODULES = ("forward", "backward", "finish", "layout", "launch")


@pytest.fixture(scope="module")
def interpreted() -> Iterator[ModuleType]:
    """The module ``launch`` with interpreted kernels, known to this file only."""
    with import_interpreted(f"{PACKAGE}.launch", [f"{PACKAGE}.{name}" for name in MODULES]) as module:
        yield module


@pytest.fixture
def kernel(interpreted: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The same with chunks of 4 steps, so that a few tokens fill several, and sums over 2 images in a turn."""
    monkeypatch.setattr(interpreted, "CHUNK", 4)
    monkeypatch.setattr(interpreted, "IMAGES", type(interpreted.IMAGES)(2))
    return interpreted


def scan_with_gradients(kernel: ModuleType, inputs: list[Tensor], spatial_shape: tuple[int, ...]) -> list[Tensor]:
    inputs = [tensor.detach() for tensor in inputs]
    scan = ScanInputs(*inputs, list(spatial_shape))
    y, states = kernel.forward(scan, True)
    assert list(states.shape) == kernel.states_shape(scan)
    found = kernel.backward(weights_like(y), states, scan)
    assert len(found) == len(inputs)
    return [y, *found]


def reference_with_gradients(inputs: list[Tensor], spatial_shape: tuple[int, ...]) -> list[Tensor]:
    doubles = in_float64(inputs)
    y = reference_directional_scan(ScanInputs(*doubles, list(spatial_shape)))
    return [y, *gradients(y, doubles)]


def weights_like(y: Tensor) -> Tensor:
    """What ``scan_inputs.gradients`` weights y with."""
    return torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(y.dtype)


def too_large(found: list[Tensor], truth: list[Tensor], limit: float = 2e-6) -> dict[str, float]:
    errors = dict(zip(("y", *NAMES), map(relative_error, found, truth), strict=True))
    return {name: error for name, error in errors.items() if error > (5e-7 if name == "y" else limit)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spatial_shape", "batch", "channels", "state_size", "rank"),
    [
        ((1,), 1, 1, 1, 1),
        pytest.param((9,), 1, 33, 2, 5, marks=pytest.mark.long),
        pytest.param((1, 1), 2, 5, 16, 3, marks=pytest.mark.long),
        ((2, 3), 2, 3, 3, 4),
        ((1, 2, 3), 1, 4, 1, 2),
    ],
)
def test_value_and_gradients_are_those_of_the_reference(
    kernel: ModuleType, spatial_shape: tuple[int, ...], batch: int, channels: int, state_size: int, rank: int
) -> None:
    inputs = make_inputs(spatial_shape, batch, channels, state_size, rank)
    found = scan_with_gradients(kernel, inputs, spatial_shape)
    assert too_large(found, reference_with_gradients(inputs, spatial_shape)) == {}


@pytest.mark.parametrize("chunk", [1, 16])
def test_the_length_of_chunks_does_not_matter(kernel: ModuleType, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "CHUNK", chunk)
    inputs = make_inputs((5,), batch=1, channels=2, state_size=2)
    assert too_large(scan_with_gradients(kernel, inputs, (5,)), reference_with_gradients(inputs, (5,))) == {}


@pytest.mark.parametrize("scale", [1e-3, 20.0])
def test_small_and_large_steps_stay_accurate(kernel: ModuleType, scale: float) -> None:
    inputs = make_inputs((7,), batch=1)
    inputs[2], inputs[3] = (tensor * scale for tensor in inputs[2:4])
    assert too_large(scan_with_gradients(kernel, inputs, (7,)), reference_with_gradients(inputs, (7,))) == {}


@pytest.mark.parametrize("bias", [-80.0, -20.0, 100.0])
def test_steps_far_from_one_keep_their_relative_precision(kernel: ModuleType, bias: float) -> None:
    inputs = make_inputs((5,), batch=1, state_size=1)
    inputs[3] = torch.full_like(inputs[3], bias)
    inputs[5] = torch.zeros_like(inputs[5])  # the skip connection would hide what the steps write
    found, truth = scan_with_gradients(kernel, inputs, (5,)), reference_with_gradients(inputs, (5,))
    assert max(map(relative_error, found[:2], truth[:2])) < 1e-5  # exp(80) itself loses 80 roundings in float32
    assert relative_error(found[4], truth[4]) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_computed_in_float32_and_get_halves_back(kernel: ModuleType, dtype: torch.dtype) -> None:
    inputs = make_inputs((5,), batch=1)
    inputs[:2] = (tensor.to(dtype) for tensor in inputs[:2])
    found, truth = scan_with_gradients(kernel, inputs, (5,)), reference_with_gradients(inputs, (5,))
    assert [tensor.dtype for tensor in found] == [torch.float32, dtype, dtype] + 4 * [torch.float32]
    for i in (1, 2):
        torch.testing.assert_close(found[i], truth[i].to(dtype))
        found[i] = truth[i]
    assert too_large(found, truth) == {}


def test_one_half_beside_one_single_is_accepted(kernel: ModuleType) -> None:
    inputs = make_inputs((3,), batch=1, state_size=1)
    inputs[1] = inputs[1].bfloat16()
    found = scan_with_gradients(kernel, inputs, (3,))
    assert [tensor.dtype for tensor in found[:3]] == [torch.float32, torch.float32, torch.bfloat16]
    assert relative_error(found[0], reference_with_gradients(inputs, (3,))[0]) < 5e-7


@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize(("rank", "dtype"), [(0, torch.float32), (1, torch.float16)])
def test_a_sequence_with_step_sizes_of_its_own(
    kernel: ModuleType, rank: int, dtype: torch.dtype, softplus: bool
) -> None:
    u, projected, dt_weight, dt_bias, A, D = (tensor.detach() for tensor in make_inputs((6,), 2, 3, 2, rank=1))
    projected, A, D = projected[:, :, :1, 1 - rank :].contiguous(), A[:1], D[:1]
    dt_weight, dt_bias = dt_weight[:1, :, :rank], dt_bias[:1]
    delta = torch.rand(2, 6, 1, 3, generator=torch.Generator().manual_seed(2)).to(dtype)
    if not softplus:
        dt_weight, dt_bias = dt_weight * 0, dt_bias * 0
    inputs = (u, projected, dt_weight, dt_bias, A, D)
    scan = ScanInputs(*inputs, [6], delta, softplus)
    y, states = kernel.forward(scan, True)
    found = kernel.backward(weights_like(y), states, scan)

    *doubles, steps = in_float64([*inputs, delta])
    low_rank, B, C = (part[:, :, 0].mT for part in doubles[1].split([rank, 2, 2], dim=-1))
    raw = (steps[:, :, 0] + low_rank.mT @ doubles[2][0].mT).mT
    truth = reference_selective_scan(
        doubles[0].mT, raw, doubles[4][0], B, C, doubles[5][0], doubles[3][0], delta_softplus=softplus
    ).mT
    right = torch.autograd.grad((truth * weights_like(truth)).sum(), [*doubles, steps])
    assert relative_error(y, truth) < 5e-7
    assert found[6].dtype == dtype
    limits = [2e-6] * 6 + [2e-6 if dtype == torch.float32 else 1e-3]
    for mine, theirs, limit in zip(found, right, limits, strict=True):
        assert relative_error(mine, theirs) < limit


def test_fewer_directions_than_the_map_has_are_the_first_ones(kernel: ModuleType) -> None:
    u, projected, *parameters = (tensor.detach() for tensor in make_inputs((2, 3), state_size=1))
    parts = []
    for k in range(4):
        masked = projected.clone()
        masked[:, :, [i for i in range(4) if i != k]] = 0
        skipless = [*parameters[:3], parameters[3] * (torch.arange(4) == k)[:, None]]
        parts.append(reference_directional_scan(ScanInputs(u, masked, *skipless, [2, 3])))
    first = [tensor[:3] for tensor in parameters]
    y, _ = kernel.forward(ScanInputs(u, projected[:, :, :3], *first, [2, 3]), False)
    torch.testing.assert_close(y, parts[0] + parts[1] + parts[2])


def test_states_are_saved_only_on_demand(kernel: ModuleType) -> None:
    inputs = [tensor.detach() for tensor in make_inputs((5,), batch=1)]
    (y, states), (saving, saved) = (kernel.forward(ScanInputs(*inputs, [5]), save) for save in (False, True))
    assert states.shape == (0,)
    assert saved.shape == (1, 2, 2, 3, 5)
    assert torch.equal(y, saving)


def test_strides_do_not_matter(kernel: ModuleType) -> None:
    inputs = make_inputs((2, 2), batch=1, state_size=1)
    plain = scan_with_gradients(kernel, inputs, (2, 2))
    strided = [tensor.detach().mT.contiguous().mT for tensor in inputs]
    scan = ScanInputs(*strided, [2, 2])
    y, states = kernel.forward(scan, True)
    grad_y = weights_like(y).mT.contiguous().mT
    assert torch.equal(y, plain[0])
    assert all(map(torch.equal, kernel.backward(grad_y, states, scan), plain[1:]))


def test_an_empty_batch_gives_an_empty_output_and_zero_gradients(kernel: ModuleType) -> None:
    y, *found = scan_with_gradients(kernel, make_inputs((2, 3), batch=0), (2, 3))
    assert y.shape == (0, 6, 5)
    assert [gradient.shape for gradient in found] == [tensor.shape for tensor in make_inputs((2, 3), batch=0)]
    assert all(not gradient.any() for gradient in found)


@pytest.mark.long
def test_results_are_the_same_bits_from_run_to_run(kernel: ModuleType) -> None:
    inputs = make_inputs((5,), batch=2, channels=33, state_size=1)
    assert all(map(torch.equal, *(scan_with_gradients(kernel, inputs, (5,)) for _ in range(2))))


@pytest.mark.parametrize("value", [0.0, 1e-42, 1e18])
def test_zeros_denormals_and_large_values_are_scanned(kernel: ModuleType, value: float) -> None:
    inputs = [tensor.detach() for tensor in make_inputs((2, 2), batch=1)]
    inputs[0].fill_(value)
    scan = ScanInputs(*inputs, [2, 2])
    y, truth = kernel.forward(scan, False)[0], reference_directional_scan(scan)
    assert (y - truth).norm() <= 1e-6 * truth.norm() + 1e-37


@pytest.mark.parametrize(("position", "element"), [(0, 7), (1, 0), (1, 2), (1, 7), (2, 7), (3, 7), (4, 7), (5, 7)])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_finite_in_the_reference_is_not_finite_here(
    kernel: ModuleType, position: int, element: int, value: float
) -> None:
    inputs = [tensor.detach() for tensor in make_inputs((5,), batch=1)]
    inputs[position].view(-1)[element] = value
    y, truth = kernel.forward(ScanInputs(*inputs, [5]), False)[0], reference_directional_scan(ScanInputs(*inputs, [5]))
    assert y.isfinite().equal(truth.isfinite())
    assert y.isnan()[truth.isnan()].all()


@pytest.mark.parametrize("position", range(6))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_reaches_the_gradients(kernel: ModuleType, position: int) -> None:
    inputs = make_inputs((5,), batch=1, state_size=2)
    with torch.no_grad():
        inputs[position].view(-1)[7] = float("nan")
    found, truth = scan_with_gradients(kernel, inputs, (5,)), reference_with_gradients(inputs, (5,))
    for name, mine, theirs in zip(NAMES, found[1:], truth[1:], strict=True):
        assert mine.isnan().equal(theirs.isnan()), name


def test_another_launch_configuration_can_be_tried(kernel: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = make_inputs((5,), batch=1, channels=40, state_size=2)
    monkeypatch.setattr(kernel, "launch_config", lambda: kernel.LaunchConfig(forward_block=64))
    assert too_large(scan_with_gradients(kernel, inputs, (5,)), reference_with_gradients(inputs, (5,))) == {}


def test_images_beyond_32_bit_offsets_are_refused(kernel: ModuleType) -> None:
    kernel.check_offsets(2**20, 4, 511)
    with pytest.raises(ValueError, match="an image of 1048576 tokens with 4 directions and 512 columns"):
        kernel.check_offsets(2**20, 4, 512)


@pytest.fixture
def through_operator(kernel: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ``backend="triton"`` take the interpreted kernels."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setitem(sys.modules, f"{PACKAGE}.launch", kernel)
    monkeypatch.setattr(sys.modules[PACKAGE], "launch", kernel, raising=False)


@pytest.mark.usefixtures("through_operator")
def test_through_the_operator_halves_stay_halves_and_autocast_changes_nothing() -> None:
    inputs = make_inputs((2, 2), batch=1, state_size=1)
    inputs[:2] = (tensor.detach().bfloat16().requires_grad_() for tensor in inputs[:2])
    plain = directional_scan(*inputs, [2, 2], backend="triton")
    with torch.autocast("cpu", torch.bfloat16):
        y = directional_scan(*inputs, [2, 2], backend="triton")
    found, truth = gradients(y, inputs), reference_with_gradients(inputs, (2, 2))
    assert y.dtype == torch.float32
    assert torch.equal(y, plain)
    assert relative_error(y, truth[0]) < 5e-7
    assert [gradient.dtype for gradient in found] == [torch.bfloat16] * 2 + [torch.float32] * 4
    assert all(relative_error(mine, theirs) < 1e-2 for mine, theirs in zip(found, truth[1:], strict=True))


@pytest.mark.usefixtures("through_operator")
@pytest.mark.parametrize("groups", [None, 2])
def test_through_selective_scan_sequences_agree_with_the_reference(groups: int | None) -> None:
    drawn = make_sequences(groups)
    both = [[tensor.to(dtype).requires_grad_() for tensor in drawn] for dtype in (torch.float32, torch.float64)]
    outputs = []
    for sequences, backend in zip(both, ("triton", "reference"), strict=True):
        y = selective_scan(*sequences, delta_softplus=True, backend=backend)
        (y * torch.arange(y.numel()).view(y.shape)).sum().backward()
        outputs.append(y)
    assert relative_error(*outputs) < 5e-7
    assert all(relative_error(mine.grad, truth.grad) < 2e-6 for mine, truth in zip(*both, strict=True))


@pytest.mark.usefixtures("through_operator")
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_a_gradient_goes_through_vmap() -> None:
    inputs = make_inputs((2,), batch=1, channels=3, state_size=1, rank=1)
    stacked = [tensor.detach()[None].repeat_interleave(2, 0).requires_grad_() for tensor in inputs]
    mapped = torch.func.vmap(lambda *args: directional_scan(*args, [2], backend="triton"))(*stacked)
    found = torch.autograd.grad(mapped.sum(), stacked)
    alone = torch.autograd.grad(directional_scan(*inputs, [2], backend="triton").sum(), inputs)
    torch.testing.assert_close([gradient[1] for gradient in found], list(alone))


@pytest.mark.long
@pytest.mark.usefixtures("through_operator")
def test_opcheck_passes() -> None:
    inputs = make_inputs((2,), batch=1, channels=3, state_size=1, rank=1)
    inputs[0] = inputs[0].detach().bfloat16().requires_grad_()
    forward = torch.ops.medmamba_monai.directional_scan_forward.default
    torch.library.opcheck(forward, (*inputs, [2], "triton", True))


def gpu_inputs(spatial_shape: tuple[int, ...], channels: int, rank: int, dtype: torch.dtype) -> list[Tensor]:
    inputs = [tensor.detach().cuda() for tensor in make_inputs(spatial_shape, 2, channels, 16, rank)]
    return [tensor.to(dtype) if i < 2 else tensor for i, tensor in enumerate(inputs)]


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("spatial_shape", "channels", "rank"),
    [((56, 56), 192, 6), ((56, 56), 96, 3), ((7, 7), 1536, 48), ((6, 7, 5), 40, 2)],
)
def test_on_a_gpu_it_agrees_with_the_torch_backend(
    spatial_shape: tuple[int, ...], channels: int, rank: int, dtype: torch.dtype
) -> None:
    mine = [tensor.requires_grad_() for tensor in gpu_inputs(spatial_shape, channels, rank, dtype)]
    doubles = in_float64(mine)
    y = directional_scan(*mine, list(spatial_shape), backend="triton")
    truth = directional_scan(*doubles, list(spatial_shape), backend="torch")
    weight = weights_like(y).cuda()
    found = torch.autograd.grad((y * weight).sum(), mine)
    right = torch.autograd.grad((truth * weight).sum(), doubles)
    limits = [2e-6 if dtype == torch.float32 else 1e-2] * 2 + [2e-6] * 4
    assert relative_error(y.cpu(), truth.cpu()) < 5e-7
    for name, gradient, true, limit in zip(NAMES, found, right, limits, strict=True):
        assert relative_error(gradient.cpu(), true.cpu()) < limit, name


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("channels", [1, 70])
def test_on_a_gpu_sequences_agree_with_the_torch_backend(channels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, channels, 300), (1, channels, 300), (channels, 16), (1, 16, 300), (1, 16, 300)]
    u, delta, A, B, C = (torch.randn(shape, generator=generator).cuda() for shape in shapes)
    y, truth = (
        selective_scan(u, delta, -A.exp(), B, C, delta_softplus=True, backend=name) for name in ("triton", "torch")
    )
    assert relative_error(y.cpu(), truth.cpu()) < 2e-6


@pytest.mark.gpu
@needs_gpu
def test_on_a_gpu_results_are_the_same_bits_from_run_to_run() -> None:
    inputs = [tensor.requires_grad_() for tensor in gpu_inputs((14, 14), 70, 4, torch.bfloat16)]
    runs = []
    for _ in range(2):
        y = directional_scan(*inputs, [14, 14], backend="triton")
        runs.append([y, *torch.autograd.grad(y.square().sum(), inputs)])
    assert all(map(torch.equal, *runs))
    assert all(tensor.isfinite().all() for tensor in runs[0])
