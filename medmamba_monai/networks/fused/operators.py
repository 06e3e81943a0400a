"""What a block repeats, as operators: each is one call in place of several, forwards and backwards.

They stand in ``torch.ops.medmamba_monai``. PyTorch's own operations compute them, as a block without them would call
them, on a CPU with the same result bit for bit. On a GPU those that are not batch norms are Triton kernels, where
Triton is installed and the dtype is not float64. None has a rule of differentiation:
:mod:`~medmamba_monai.networks.fused.functions` is the one place for these.

Letters are those of :mod:`~medmamba_monai.networks.blocks`; H = M / 2 are the channels of a branch. Tokens have their
channels last, (B, S, H).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache, wraps
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from medmamba_monai.selective_scan.backends import BACKENDS

_LIBRARY = torch.library.Library("medmamba_monai", "FRAGMENT")
LAUNCH = "medmamba_monai.networks.fused.triton.launch"
"""Module with a function for each operator that has a kernel."""


def _define(schema: str, kernel: bool = True) -> Callable[[Callable], Callable]:
    """Define an operator by its schema and the function that computes it, on every device.

    Args:
        schema: in the language of ``torch.library``.
        kernel: whether there is a Triton kernel that computes it on a GPU.
    """

    def register(function: Callable) -> Callable:
        name = schema.partition("(")[0]
        _LIBRARY.define(schema)
        _LIBRARY.impl(name, function, "CompositeExplicitAutograd")
        if kernel:
            _LIBRARY.impl(name, _prefer_kernel(function), "CUDA")
        return function

    return register


def _prefer_kernel(function: Callable) -> Callable:
    """Return what calls the kernel of a function where it can run, else the function."""

    @wraps(function)
    def run(*arguments: Any) -> Any:
        tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
        launch = _find_kernels(tensors[0].device)
        if launch is None or any(tensor.dtype not in launch.DTYPES for tensor in tensors):
            return function(*arguments)
        return getattr(launch, function.__name__)(*arguments)

    return run


@cache
def _find_kernels(device: torch.device) -> ModuleType | None:
    """Return the module that launches the kernels, if Triton can run on a device."""
    backend = BACKENDS["triton"]
    usable = backend.find_device_objection(device) is None and backend.available()
    return importlib.import_module(LAUNCH) if usable else None


def _match(x: Tensor, weight: Tensor) -> Tensor:
    """Return what a layer norm takes: on a CPU x as it is, elsewhere in the dtype of the weights, as autocast does."""
    return x if x.device.type == "cpu" else x.to(weight.dtype)


@_define("negative_exp(Tensor x) -> Tensor")
def negative_exp(x: Tensor) -> Tensor:
    """Return -exp(x)."""
    return x.exp().neg_()


@_define(
    "split_norm(Tensor tokens, Tensor weight, Tensor bias, float eps, ScalarType dtype) "
    "-> (Tensor, Tensor, Tensor, Tensor)"
)
def split_norm(
    tokens: Tensor, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Split tokens (B, S, M) into both branches, and normalize what goes to the scan over its channels.

    Returns:
        Both halves (B, S, H) of ``dtype``, the second one normalized, and mean and reciprocal deviation (B, S, 1).
    """
    near, far = tokens.chunk(2, dim=-1)
    normed, mean, deviation = torch.native_layer_norm(_match(far, weight), weight.shape, weight, bias, eps)
    near = near.clone(memory_format=torch.contiguous_format).to(dtype)
    return near, normed.to(dtype), mean, deviation


@_define(
    "split_norm_backward(Tensor grad_near, Tensor grad_far, Tensor grad_gate, Tensor grad_tokens, Tensor tokens, "
    "Tensor mean, Tensor deviation, Tensor weight, Tensor bias) -> (Tensor, Tensor)"
)
def split_norm_backward(
    grad_near: Tensor,
    grad_far: Tensor,
    grad_gate: Tensor,
    grad_tokens: Tensor,
    tokens: Tensor,
    mean: Tensor,
    deviation: Tensor,
    weight: Tensor,
    bias: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the tokens, and of weight and bias (2, H).

    What arrives for the two uses of the normalized half, by the scan and by its gate, is added up, and so is what
    arrives through the residual connection.
    """
    far = _match(tokens.chunk(2, dim=-1)[1], weight)
    grad_far, *of_parameters = torch.ops.aten.native_layer_norm_backward(
        (grad_far + grad_gate).to(far.dtype), far, weight.shape, mean, deviation, weight, bias, [True, True, True]
    )
    grad = torch.cat([grad_near.to(tokens.dtype), grad_far.to(tokens.dtype)], dim=-1).add_(grad_tokens)
    return grad, torch.stack(of_parameters)


@_define("silu_backward_of_sum(Tensor grad, Tensor other, Tensor x) -> Tensor")
def silu_backward_of_sum(grad: Tensor, other: Tensor, x: Tensor) -> Tensor:
    """Return the gradient of x, where SiLU of it was used twice."""
    return torch.ops.aten.silu_backward(grad + other, x)


@_define(
    "norm_gate(Tensor y, Tensor gate, Tensor weight, Tensor bias, float eps, ScalarType dtype) "
    "-> (Tensor, Tensor, Tensor)"
)
def norm_gate(
    y: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalize what the scan returns (B, L, C) over its channels and multiply it by SiLU of the gate (B, L, C).

    Returns:
        The product in ``dtype``, mean and reciprocal deviation (B, L, 1).
    """
    normed, mean, deviation = torch.native_layer_norm(_match(y, weight), weight.shape, weight, bias, eps)
    return (normed * torch.nn.functional.silu(gate)).to(dtype), mean, deviation


@_define(
    "norm_gate_backward(Tensor grad, Tensor y, Tensor gate, Tensor mean, Tensor deviation, Tensor weight, Tensor bias, "
    "float eps) -> (Tensor, Tensor, Tensor)"
)
def norm_gate_backward(
    grad: Tensor, y: Tensor, gate: Tensor, mean: Tensor, deviation: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of y and gate, and of weight and bias (2, C)."""
    y = _match(y, weight)
    grad = grad.to(y.dtype)
    normed = torch.native_layer_norm(y, weight.shape, weight, bias, eps)[0]
    grad_gate = torch.ops.aten.silu_backward(normed.mul_(grad).to(gate.dtype), gate)
    grad_y, *of_parameters = torch.ops.aten.native_layer_norm_backward(
        torch.nn.functional.silu(gate).to(y.dtype).mul_(grad),
        y,
        weight.shape,
        mean,
        deviation,
        weight,
        bias,
        [True, True, True],
    )
    return grad_y, grad_gate, torch.stack(of_parameters)


@_define(
    "batch_norm_relu(Tensor x, Tensor weight, Tensor bias, Tensor(a!) running_mean, Tensor(b!) running_var, "
    "Tensor(c!) batches, bool training, float momentum, float eps, bool relu) -> (Tensor, Tensor, Tensor)",
    kernel=False,
)
def batch_norm_relu(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    batches: Tensor,
    training: bool,
    momentum: float,
    eps: float,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalize a map (B, H, S) over its batch, count the batch, and apply ReLU where it is asked for.

    Returns:
        The map, mean and reciprocal deviation of each channel; the latter are empty in evaluation.
    """
    out, mean, deviation = torch.native_batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps)
    if training:
        batches.add_(1)
    return (out.relu_() if relu else out), mean, deviation


@_define(
    "batch_norm_relu_backward(Tensor grad, Tensor x, Tensor out, Tensor weight, Tensor running_mean, "
    "Tensor running_var, Tensor mean, Tensor deviation, bool training, float eps, bool relu) "
    "-> (Tensor, Tensor, Tensor)",
    kernel=False,
)
def batch_norm_relu_backward(
    grad: Tensor,
    x: Tensor,
    out: Tensor,
    weight: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    mean: Tensor,
    deviation: Tensor,
    training: bool,
    eps: float,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the map, of weight and of bias."""
    if relu:
        grad = torch.ops.aten.threshold_backward(grad, out, 0)
    return torch.ops.aten.native_batch_norm_backward(
        grad, x, weight, running_mean, running_var, mean, deviation, training, eps, [True, True, True]
    )


@_define("merge_branches(Tensor tokens, Tensor near, Tensor far, float keep, bool scaled) -> (Tensor, Tensor)")
def merge_branches(tokens: Tensor, near: Tensor, far: Tensor, keep: float, scaled: bool) -> tuple[Tensor, Tensor]:
    """Interleave ReLU of the convolution branch with the scan branch, and add both to the tokens (B, S, M).

    Args:
        tokens: input of the block.
        near: (B, S, H) of the convolution branch, before its last ReLU.
        far: (B, S, H) of the scan branch.
        keep: probability that an image keeps its scan branch; 1 for all, without a draw.
        scaled: whether what is kept is divided by that probability.

    Returns:
        The output of the block, and what the scan branch of each image was multiplied by, (B, 1, ...); empty for all 1.
    """
    factor = draw_factor(far, keep, scaled)
    if factor.numel():
        far = far * factor
    return tokens + torch.stack((near.relu(), far), dim=-1).flatten(-2), factor


def draw_factor(far: Tensor, keep: float, scaled: bool) -> Tensor:
    """Draw what the scan branch of each image is multiplied by, see `merge_branches`; (B, 1, ...), empty for all 1."""
    if keep >= 1:
        return far.new_empty(0)
    factor = far.new_empty([len(far)] + [1] * (far.ndim - 1)).bernoulli_(keep)
    return factor.div_(keep) if scaled and keep > 0 else factor


@_define("merge_branches_backward(Tensor grad, Tensor near, Tensor factor) -> (Tensor, Tensor)")
def merge_branches_backward(grad: Tensor, near: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of both branches; that of the tokens is ``grad`` itself."""
    of_near, of_far = grad.to(near.dtype).unflatten(-1, [-1, 2]).unbind(-1)
    grad_near = torch.ops.aten.threshold_backward(of_near, near, 0)
    return grad_near, of_far * factor if factor.numel() else of_far.contiguous()
