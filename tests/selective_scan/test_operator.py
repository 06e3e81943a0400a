"""The operator: its backends agree, and it behaves under everything PyTorch does with an operator."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from medmamba_monai.core.errors import UserError
from medmamba_monai.selective_scan import directional_scan
from medmamba_monai.selective_scan.numba.backend import NumbaBackend
from tests.helpers.scan_inputs import NAMES, gradients, in_float64, make_inputs, relative_error

BACKENDS = ("reference", "torch", "numba")
KERNELS = ("torch", "numba")
SHAPE = [3, 4]


class Scan(nn.Module):
    """A layer that owns the parameters of a scan over a 3 x 4 map."""

    def __init__(self, backend: str = "auto") -> None:
        super().__init__()
        self.u, self.projected, *parameters = [tensor.detach() for tensor in make_inputs((3, 4))]
        self.dt_weight, self.dt_bias, self.A, self.D = (nn.Parameter(tensor) for tensor in parameters)
        self.backend = backend

    def forward(self, u: Tensor, projected: Tensor) -> Tensor:
        return torch.ops.medmamba_monai.directional_scan(
            u, projected, self.dt_weight, self.dt_bias, self.A, self.D, [3, 4], self.backend
        )


@pytest.mark.parametrize("backend", ["torch", "numba", "auto"])
@pytest.mark.parametrize(
    ("spatial_shape", "channels", "state_size", "rank"),
    [
        ((1,), 1, 1, 1),
        ((9,), 3, 2, 5),
        ((1, 1), 16, 16, 3),
        ((5, 7), 33, 5, 4),
        ((9, 8), 20, 16, 2),
        ((2, 3, 4), 7, 4, 1),
    ],
)
def test_value_and_gradients_are_those_of_the_reference(
    spatial_shape: tuple[int, ...], channels: int, state_size: int, rank: int, backend: str
) -> None:
    inputs = make_inputs(spatial_shape, 2, channels, state_size, rank)
    doubles = in_float64(inputs)
    y = directional_scan(*inputs, list(spatial_shape), backend=backend)
    truth = directional_scan(*doubles, list(spatial_shape), backend="reference")
    errors = map(relative_error, gradients(y, inputs), gradients(truth, doubles))
    assert relative_error(y, truth) < 5e-7
    assert {name: error for name, error in zip(NAMES, errors, strict=True) if error > 2e-6} == {}


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_empty_batch_gives_an_empty_output_and_zero_gradients(backend: str) -> None:
    inputs = make_inputs((3, 4), batch=0)
    y = directional_scan(*inputs, SHAPE, backend=backend)
    assert y.shape == (0, 12, 5)
    assert all(not gradient.any() for gradient in gradients(y, inputs))


@pytest.mark.parametrize("backend", BACKENDS)
def test_strides_do_not_matter(backend: str) -> None:
    inputs = make_inputs((3, 4))
    strided = [tensor.detach().mT.contiguous().mT.requires_grad_() for tensor in inputs]
    y, y_strided = (directional_scan(*tensors, SHAPE, backend=backend) for tensors in (inputs, strided))
    torch.testing.assert_close(y_strided, y)
    torch.testing.assert_close(gradients(y_strided, strided), gradients(y, inputs))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_strided_gradient_is_accepted(backend: str) -> None:
    inputs = make_inputs((3, 4))
    transposed, plain = (directional_scan(*inputs, SHAPE, backend=backend) for _ in range(2))
    expected = torch.autograd.grad(plain, inputs, torch.ones(2, 5, 12).mT.contiguous())
    torch.testing.assert_close(torch.autograd.grad(transposed.mT.sum(), inputs), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_tensor_in_two_roles_gets_both_gradients(backend: str) -> None:
    u, projected, dt_weight, dt_bias, A, _ = make_inputs((3, 4))
    both = directional_scan(u, projected, dt_weight, dt_bias, A, dt_bias, SHAPE, backend=backend)
    copied = dt_bias.detach().clone().requires_grad_()
    apart = directional_scan(u, projected, dt_weight, dt_bias, A, copied, SHAPE, backend=backend)
    total = sum(gradients(apart, [dt_bias, copied]))
    torch.testing.assert_close(gradients(both, [dt_bias])[0], total)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(backend: str, dtype: torch.dtype) -> None:
    halves = make_inputs((3, 4), dtype=dtype)
    singles = [tensor.detach().float().requires_grad_() for tensor in halves]
    y, expected = (directional_scan(*inputs, SHAPE, backend=backend) for inputs in (halves, singles))
    torch.testing.assert_close(y, expected)
    assert [gradient.dtype for gradient in gradients(y, halves)] == [dtype] * 6


@pytest.mark.parametrize("backend", BACKENDS)
def test_autocast_does_not_change_the_result(backend: str) -> None:
    inputs = make_inputs((3, 4))
    plain = directional_scan(*inputs, SHAPE, backend=backend)
    with torch.autocast("cpu", torch.bfloat16):
        y = directional_scan(*inputs, SHAPE, backend=backend)
        derivatives = gradients(y, inputs)
    assert torch.equal(y, plain)
    torch.testing.assert_close(derivatives, gradients(plain, inputs))


@pytest.mark.parametrize("backend", ["reference", "torch", "auto"])
def test_float64_is_kept(backend: str) -> None:
    inputs = make_inputs((2, 2), channels=2, state_size=2, rank=1, dtype=torch.float64)
    assert directional_scan(*inputs, [2, 2], backend=backend).dtype == torch.float64
    assert torch.autograd.gradcheck(lambda *args: directional_scan(*args, [2, 2], backend=backend), inputs)


@pytest.mark.parametrize("backend", KERNELS)
def test_opcheck_passes(backend: str) -> None:
    inputs = make_inputs((3, 4))
    torch.library.opcheck(torch.ops.medmamba_monai.directional_scan.default, (*inputs, SHAPE, backend))
    forward = torch.ops.medmamba_monai.directional_scan_forward.default
    torch.library.opcheck(forward, (*inputs, SHAPE, backend, True))


def test_opcheck_passes_for_the_backward_operator() -> None:
    inputs = [tensor.detach() for tensor in make_inputs((3, 4))]
    y, states = torch.ops.medmamba_monai.directional_scan_forward(*inputs, SHAPE, "numba", True)
    backward = torch.ops.medmamba_monai.directional_scan_backward.default
    torch.library.opcheck(backward, (y, states, *inputs, SHAPE, "numba"))


def test_states_are_saved_only_for_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    forward = NumbaBackend.forward
    monkeypatch.setattr(NumbaBackend, "forward", lambda *args: asked.append(args[-1]) or forward(*args))
    inputs = make_inputs((3, 4))
    directional_scan(*inputs, SHAPE, backend="numba")
    with torch.no_grad():
        directional_scan(*inputs, SHAPE, backend="numba")
    with torch.inference_mode():
        directional_scan(*inputs, SHAPE, backend="numba")
    directional_scan(*[tensor.detach() for tensor in inputs], SHAPE, backend="numba")
    assert asked == [True, False, False, False]


@pytest.mark.parametrize("backend", KERNELS)
def test_compiled_it_gives_the_same_value_and_gradients(backend: str) -> None:
    layer = Scan(backend)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    inputs = [layer.u.clone().requires_grad_(), layer.projected.clone().requires_grad_()]
    torch.testing.assert_close(compiled(*inputs), layer(*inputs))
    torch.testing.assert_close(gradients(compiled(*inputs), inputs), gradients(layer(*inputs), inputs))


def test_exported_it_is_one_opaque_operator() -> None:
    layer = Scan()
    program = torch.export.export(layer, (layer.u, layer.projected))
    targets = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert targets == [torch.ops.medmamba_monai.directional_scan.default]
    torch.testing.assert_close(program.module()(layer.u, layer.projected), layer(layer.u, layer.projected))


def test_exported_with_free_sizes_it_fits_other_maps() -> None:
    class AnyMap(nn.Module):
        def forward(self, image: Tensor, projected: Tensor, *parameters: Tensor) -> Tensor:
            shape = list(image.shape[1:-1])
            return torch.ops.medmamba_monai.directional_scan(
                image.flatten(1, 2), projected.flatten(1, 2), *parameters, shape, "auto"
            )

    def on_map(batch: int, height: int, width: int) -> tuple[Tensor, ...]:
        u, projected, *parameters = make_inputs((height, width), batch=batch)
        return u.unflatten(1, (height, width)), projected.unflatten(1, (height, width)), *parameters

    sizes = dict(enumerate(torch.export.dims("batch", "height", "width")))
    program = torch.export.export(AnyMap(), on_map(2, 3, 4), dynamic_shapes=(sizes, sizes, (None,) * 4))
    torch.testing.assert_close(program.module()(*on_map(3, 6, 5)), AnyMap()(*on_map(3, 6, 5)))


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpointing_gives_the_same_gradients(use_reentrant: bool) -> None:
    layer = Scan()
    u = layer.u.clone().requires_grad_()
    y = checkpoint(layer, u, layer.projected, use_reentrant=use_reentrant)
    leaves = [u, *layer.parameters()]
    y.sum().backward()
    expected = torch.autograd.grad(layer(u, layer.projected).sum(), leaves)
    torch.testing.assert_close([leaf.grad for leaf in leaves], list(expected))


def test_scripted_saved_and_loaded_it_gives_the_same() -> None:
    layer, file = Scan(), io.BytesIO()
    torch.jit.save(torch.jit.script(layer), file)
    file.seek(0)
    torch.testing.assert_close(torch.jit.load(file)(layer.u, layer.projected), layer(layer.u, layer.projected))


def test_the_python_function_can_be_scripted() -> None:
    inputs = make_inputs((3, 4))
    torch.testing.assert_close(torch.jit.script(directional_scan)(*inputs, SHAPE), directional_scan(*inputs, SHAPE))


def test_a_deep_copy_is_independent() -> None:
    layer = Scan()
    twin = copy.deepcopy(layer)
    twin(layer.u, layer.projected).sum().backward()
    assert layer.D.grad is None
    assert twin.D.grad is not None


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_tangent_is_that_of_the_reference(backend: str) -> None:
    inputs = make_inputs((3, 4))
    primals, tangents = (tuple(tensor.detach() for tensor in make_inputs((3, 4), seed=seed)) for seed in (0, 1))
    doubles = [tuple(tensor.double() for tensor in tensors) for tensors in (primals, tangents)]
    truth = torch.func.jvp(lambda *t: directional_scan(*t, SHAPE, backend="reference"), *doubles)[1]
    found = torch.func.jvp(lambda *t: directional_scan(*t, SHAPE, backend=backend), primals, tangents)[1]
    assert relative_error(found, truth) < 1e-6
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(tensor, tangent) for tensor, tangent in zip(inputs, tangents, strict=True)]
        assert (
            relative_error(forward_ad.unpack_dual(directional_scan(*duals, SHAPE, backend=backend)).tangent, truth)
            < 1e-6
        )


def test_a_tangent_of_one_input_alone_and_in_half_precision() -> None:
    u, *others = (tensor.detach() for tensor in make_inputs((3, 4)))
    truth = torch.func.jvp(lambda t: directional_scan(t, *others, SHAPE, backend="reference"), (u,), (u,))[1]
    found = torch.func.jvp(lambda t: directional_scan(t, *others, SHAPE), (u.bfloat16(),), (u.bfloat16(),))[1]
    assert relative_error(found, truth) < 0.01


@pytest.mark.parametrize("backend", KERNELS)
def test_gradients_of_each_image_are_those_of_each_image_alone(backend: str) -> None:
    u, projected, *weights = (tensor.detach() for tensor in make_inputs((3, 4)))

    def loss(weights: list[Tensor], u: Tensor, projected: Tensor) -> Tensor:
        return directional_scan(u[None], projected[None], *weights, SHAPE, backend=backend).square().sum()

    together = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(weights, u, projected)
    for image in range(2):
        alone = torch.func.grad(loss)(weights, u[image], projected[image])
        torch.testing.assert_close([gradient[image] for gradient in together], alone)


def test_mapped_over_images_the_kernel_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = []
    forward = NumbaBackend.forward
    monkeypatch.setattr(NumbaBackend, "forward", lambda *args: batches.append(len(args[1].u)) or forward(*args))
    u, projected, *weights = (tensor.detach() for tensor in make_inputs((3, 4), batch=6))
    by_pairs = (tensor.unflatten(0, (3, 2)).movedim(0, 1) for tensor in (u, projected))
    mapped = torch.func.vmap(lambda *t: directional_scan(*t, *weights, SHAPE, backend="numba"), 1, 1)(*by_pairs)
    assert batches == [6]
    torch.testing.assert_close(mapped.movedim(1, 0).flatten(0, 1), directional_scan(u, projected, *weights, SHAPE))


def test_jacobians_agree_in_both_directions_and_a_hessian_is_refused() -> None:
    u, *others = (tensor.detach() for tensor in make_inputs((1, 3), batch=1, channels=2))

    def scan(u: Tensor, backend: str = "auto") -> Tensor:
        return directional_scan(u, *others, [1, 3], backend=backend)

    torch.testing.assert_close(torch.func.jacfwd(scan)(u), torch.func.jacrev(scan)(u))
    with pytest.raises(NotImplementedError, match="scan_backend='reference'"):
        torch.func.hessian(lambda t: scan(t).square().sum())(u)
    assert torch.func.hessian(lambda t: scan(t, "reference").square().sum())(u).abs().max() > 0


def test_the_flop_counter_counts_what_the_reference_computes() -> None:
    class Elementwise(TorchDispatchMode):
        """Counts results of multiplications, additions, exponentials, and what sums add up."""

        total = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            if func.overloadpacket.__name__ in ("mul", "add", "exp", "softplus"):
                self.total += result.numel()
            elif func.overloadpacket.__name__ == "sum":
                self.total += args[0].numel()
            return result

    inputs = [tensor.detach() for tensor in make_inputs((3, 4), batch=2, channels=5, state_size=3, rank=2)]
    with Elementwise() as by_hand:
        directional_scan(*inputs, SHAPE, backend="reference")
    with FlopCounterMode(display=False) as counter:
        directional_scan(*inputs, SHAPE)
    assert counter.get_total_flops() == by_hand.total == 2 * 12 * 4 * 5 * (2 * 2 + 7 * 3 + 6)


def test_the_flop_counter_counts_the_gradient() -> None:
    with FlopCounterMode(display=False) as counter:
        directional_scan(*make_inputs((3, 4), rank=2, state_size=3), SHAPE).sum().backward()
    backward = torch.ops.medmamba_monai.directional_scan_backward
    assert counter.get_flop_counts()["Global"][backward] == 2 * 12 * 4 * 5 * (6 * 2 + 20 * 3 + 10)


@pytest.mark.parametrize("backend", KERNELS)
def test_vmap_maps_over_images_or_weights(backend: str) -> None:
    inputs = [torch.stack([tensor.detach(), 2 * tensor.detach()]) for tensor in make_inputs((3, 4))]
    mapped = torch.func.vmap(lambda *args: directional_scan(*args, SHAPE, backend=backend))(*inputs)
    separate = [directional_scan(*[tensor[i] for tensor in inputs], SHAPE, backend=backend) for i in range(2)]
    torch.testing.assert_close(mapped, torch.stack(separate))


@pytest.mark.parametrize("backend", KERNELS)
def test_a_gradient_goes_through_vmap(backend: str) -> None:
    inputs = make_inputs((3, 4))
    stacked = [tensor.detach()[None].repeat_interleave(2, 0).requires_grad_() for tensor in inputs]
    mapped = torch.func.vmap(lambda *args: directional_scan(*args, SHAPE, backend=backend))(*stacked)
    found = torch.autograd.grad(mapped.sum(), stacked)
    alone = torch.autograd.grad(directional_scan(*inputs, SHAPE, backend=backend).sum(), inputs)
    torch.testing.assert_close([gradient[1] for gradient in found], list(alone))


@pytest.mark.parametrize("backend", KERNELS)
def test_a_second_derivative_is_refused_and_says_who_has_one(backend: str) -> None:
    inputs = make_inputs((3, 4))
    y = directional_scan(*inputs, SHAPE, backend=backend)
    (gradient,) = torch.autograd.grad(y.sum(), inputs[:1], create_graph=True)
    with pytest.raises(NotImplementedError, match="backend='reference'"):
        gradient.sum().backward()


def test_the_reference_has_second_derivatives() -> None:
    inputs = make_inputs((1, 3), batch=1, channels=2, state_size=1, rank=1, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(lambda *args: directional_scan(*args, [1, 3], backend="reference"), inputs)


@pytest.mark.parametrize(("position", "name"), list(enumerate(NAMES)))
def test_a_wrong_shape_is_named(position: int, name: str) -> None:
    inputs = make_inputs((3, 4))
    inputs[position] = inputs[position][..., :-1]
    with pytest.raises(ValueError, match=r"(u|projected|dt_weight|dt_bias|A|D) must have shape \("):
        directional_scan(*inputs, SHAPE)


@pytest.mark.parametrize("spatial_shape", [[], [12, 0], [3, 5], [2, 2, 3]])
def test_a_wrong_spatial_shape_is_refused(spatial_shape: list[int]) -> None:
    with pytest.raises(ValueError, match="spatial_shape"):
        directional_scan(*make_inputs((3, 4)), spatial_shape)


def test_a_dimension_too_few_is_refused() -> None:
    inputs = make_inputs((3, 4))
    with pytest.raises(ValueError, match=r"u must be \(B, L, C\)"):
        directional_scan(inputs[0][0], *inputs[1:], SHAPE)


@pytest.mark.parametrize(("c", "r", "n"), [(0, 2, 3), (5, 0, 3), (5, 2, 0)])
def test_nothing_to_scan_is_refused(c: int, r: int, n: int) -> None:
    u, projected, dt_weight, dt_bias, A, D = make_inputs((3, 4))
    with pytest.raises(ValueError, match="there must be channels, a rank and states"):
        directional_scan(u[..., :c], projected, dt_weight[:, :c, :r], dt_bias, A[:, :c, :n], D, SHAPE)


def test_tensors_on_two_devices_are_refused() -> None:
    inputs = make_inputs((3, 4))
    with pytest.raises(ValueError, match="A is on meta, u is on cpu"):
        directional_scan(*inputs[:4], inputs[4].to("meta"), inputs[5], SHAPE)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64])
def test_dtypes_that_do_not_mix_are_refused(dtype: torch.dtype) -> None:
    inputs = make_inputs((3, 4))
    with pytest.raises(ValueError, match="inputs must be floating point, and all or none of them float64"):
        directional_scan(inputs[0].detach().to(dtype), *inputs[1:], SHAPE)


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(UserError, match="'cudnn' does not exist"):
        directional_scan(*make_inputs((3, 4)), SHAPE, backend="cudnn")
