"""How the scan is differentiated: backwards, forwards and over a mapped axis, with autograd and with ``torch.func``.

Backwards, a backend's kernel does it. Forwards, the plain operations of
:mod:`~medmamba_monai.selective_scan.chunked` do, as no kernel of ours knows tangents. Mapped over images alone a scan
is a scan of more images; over weights, it runs once for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor

from medmamba_monai.selective_scan.chunked import chunked_directional_scan
from medmamba_monai.selective_scan.inputs import ScanInputs
from medmamba_monai.selective_scan.kernel_operators import directional_scan_backward, directional_scan_forward

OF_IMAGES = (0, 1, 9)
"""Where the arguments of the scan are that have an axis of images: u, projected, delta."""


class DifferentiableScan(torch.autograd.Function):
    """``directional_scan_forward`` with its rules; takes its arguments, all of them."""

    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, Tensor]:
        """Return y, and the states that are saved for its gradient."""
        return directional_scan_forward(*arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        """Keep what the rules below need."""
        *tensors, spatial_shape, backend, save_states, delta, softplus = inputs
        ctx.save_for_backward(output[1], *tensors, delta)
        ctx.save_for_forward(output[1], *tensors, delta)
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)  # a gradient of the states would be zeros of their size
        ctx.save_states, ctx.arguments = save_states, (spatial_shape, backend, softplus)
        ctx.dtype = output[0].dtype

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradient of every argument; none of any where y has none."""
        if grad_y is None:
            return (None,) * len(ctx.needs_input_grad)
        states, *tensors, delta = ctx.saved_tensors
        spatial_shape, backend, softplus = ctx.arguments
        if not ctx.save_states:  # under vmap nothing seems to need a gradient when the scan is called
            states = directional_scan_forward(*tensors, spatial_shape, backend, True, delta, softplus)[1]
        gradients = ScanGradient.apply(grad_y, states, *tensors, spatial_shape, backend, delta, softplus)
        *gradients, grad_delta = gradients
        return *gradients, None, None, None, None if delta is None else grad_delta, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor, None]:
        """Return the tangent of y: the scan's gradient is linear in dL/dy, and its transpose takes tangents along."""
        _, u, projected, dt_weight, dt_bias, A, D, delta = ctx.saved_tensors
        spatial_shape, _, softplus = ctx.arguments
        inputs = ScanInputs(u, projected, dt_weight, dt_bias, A, D, spatial_shape, delta, softplus).convert(A.dtype)
        along = (*tangents[:6], *([] if delta is None else [tangents[9]]))
        moved = tuple(
            torch.zeros_like(tensor) if tangent is None else tangent.to(tensor.dtype)
            for tensor, tangent in zip(inputs.tensors, along, strict=True)
        )
        vjp: Any = torch.func.vjp
        y, pull_back = vjp(lambda *t: chunked_directional_scan(inputs.replace_tensors(t)), *inputs.tensors)
        return vjp(pull_back, torch.zeros_like(y))[1](moved)[0].to(ctx.dtype), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
        """Scan all images of the mapped axis at once where only images are mapped."""
        if any(isinstance(dim, int) for place, dim in enumerate(in_dims) if place not in OF_IMAGES):
            return _map_one_by_one(DifferentiableScan.apply, info.batch_size, in_dims, arguments)
        joined = list(arguments)
        for place in OF_IMAGES:
            if arguments[place] is not None:
                joined[place] = _bring_to_front(arguments[place], in_dims[place], info.batch_size).flatten(0, 1)
        y, states = DifferentiableScan.apply(*joined)
        sizes = (info.batch_size, -1) if len(joined[0]) else (info.batch_size, 0)
        return (y.unflatten(0, sizes), states.unflatten(0, sizes) if states.numel() else states), (
            0,
            0 if states.numel() else None,
        )


class ScanGradient(torch.autograd.Function):
    """``directional_scan_backward`` with its rules; takes its arguments, all of them."""

    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, ...]:
        """Return the gradients of u, projected, dt_weight, dt_bias, A, D and delta."""
        return directional_scan_backward(*arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep nothing: there is no second derivative."""

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> NoReturn:
        """Refuse."""
        raise NotImplementedError(
            "gradients of gradients need directional_scan(..., backend='reference') or a network with "
            "scan_backend='reference': the other backends differentiate once"
        )

    jvp = backward

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
        """Run once for each mapped entry: the gradients of weights are sums over the images of an entry alone."""
        return _map_one_by_one(ScanGradient.apply, info.batch_size, in_dims, arguments)


def _map_one_by_one(
    function: Callable[..., tuple[Tensor, ...]], size: int, in_dims: tuple[Any, ...], arguments: tuple[Any, ...]
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Call a function for each entry of the mapped axes and stack what it returns."""
    results = [
        function(*(a.select(d, entry) if isinstance(d, int) else a for a, d in zip(arguments, in_dims, strict=True)))
        for entry in range(size)
    ]
    stacked = tuple(torch.stack(parts) for parts in zip(*results, strict=True))
    return stacked, (0,) * len(stacked)


def _bring_to_front(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    """Make the mapped axis the first, repeating what is not mapped."""
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


# For whoever calls the operators themselves; PyTorch asks for these two in this form.
directional_scan_forward.register_autograd(DifferentiableScan.backward, setup_context=DifferentiableScan.setup_context)
directional_scan_backward.register_autograd(ScanGradient.backward)
