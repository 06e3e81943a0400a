"""A block of MedMamba by its fused operators: the same result as by its modules, in half as many operations.

A block takes this way where nobody could tell the difference: its parts are those that the paper's network has, in
their own classes, without hooks, and nobody traces, compiles or transforms it. ``torch.compile`` fuses the plain
operations itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers import DropPath
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional
from torch.nn.modules import module as torch_module

from medmamba_monai.networks.fused.functions import (
    BatchNormRelu,
    CastTogether,
    MergeBranches,
    NegativeExp,
    NormGate,
    SiluForTwo,
    SplitNorm,
)

CONVOLUTIONS, BATCH_NORMS = (nn.Conv2d, nn.Conv3d), (nn.BatchNorm2d, nn.BatchNorm3d)
SCAN_PARTS = ((nn.Linear,), (nn.Linear,), CONVOLUTIONS, (nn.LayerNorm,), (nn.Linear,))
CONV_PARTS = (BATCH_NORMS, CONVOLUTIONS, *2 * (BATCH_NORMS, (nn.ReLU,), CONVOLUTIONS), (nn.ReLU,))
PARTS = ((nn.LayerNorm,), None, *SCAN_PARTS, (DropPath,), (nn.Sequential,), *CONV_PARTS)
"""Classes of the modules inside a block, in their order; None for the scan, whose parts follow."""
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
WIDE = (torch.float32, torch.float64)


def can_fuse(block: Any, x: Tensor) -> bool:
    """Say whether a block can go through its fused operators here and now.

    Args:
        block: an ``SSConvSSM``.
        x: its input.
    """
    return (
        isinstance(x, Tensor)
        and x.numel() > x.shape[1]  # no image or a single token: the modules know what to do, or to say
        and not (torch.compiler.is_compiling() or torch.jit.is_tracing() or _is_transformed())
        and not (block.use_checkpoint and block.training)
        and not block.ss2d.exportable
        and block.ss2d.scan_backend != "reference"
        and _is_as_built(block)
    )


def _is_transformed() -> bool:
    """Say whether ``torch.func`` or forward-mode differentiation looks on."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def _is_as_built(block: Any) -> bool:
    """Say whether all parts are those that the paper's network has, without hooks, and in one wide dtype."""
    modules = list(block.modules())
    if len(modules) != len(PARTS) + 1 or torch_module._has_any_global_hook():
        return False
    if any("forward" in m.__dict__ or any(getattr(m, hook) for hook in HOOKS) for m in modules):
        return False
    if any(kinds and type(module) not in kinds for kinds, module in zip(PARTS, modules[1:], strict=True)):
        return False
    norms = (m for m in modules if type(m) in BATCH_NORMS)
    if any(m.weight is None or m.running_mean is None or m.momentum is None for m in norms):
        return False
    dtypes = {parameter.dtype for m in modules for parameter in m._parameters.values() if parameter is not None}
    return len(dtypes) == 1 and dtypes <= set(WIDE)


def fused_block(block: Any, x: Tensor) -> Tensor:
    """Map (B, M, S) to (B, M, S) as ``SSConvSSM.forward`` does."""
    tokens = x.movedim(1, -1)
    dtype = _choose_dtype(tokens)
    scan_weights, conv_weights = _cast_weights(block, dtype)
    norm = block.scan_norm
    near, far, gated, tokens = SplitNorm.apply(tokens, norm.weight, norm.bias, norm.eps, dtype)
    near = _convolve(block.conv_branch, near.movedim(-1, 1), conv_weights).movedim(1, -1)
    far = _scan(block.ss2d, far, gated, scan_weights)
    drop_path = block.drop_path
    keep = 1 - drop_path.drop_prob if drop_path.training else 1.0
    return MergeBranches.apply(tokens, near, far, keep, drop_path.scale_by_keep).movedim(-1, 1)


def _choose_dtype(tokens: Tensor) -> torch.dtype:
    """Return the dtype of the branches: that of autocast where it is on."""
    device = tokens.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return tokens.dtype


def _cast_weights(block: Any, dtype: torch.dtype) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Return the weights of linear layers and convolutions in ``dtype``, those of the scan branch first."""
    scan, branch = block.ss2d, block.conv_branch
    weights = [scan.in_proj.weight, scan.gate_proj.weight, scan.conv.weight, scan.conv.bias, scan.x_proj_weight]
    weights.append(scan.out_proj.weight)
    of_scan = len(weights)
    for layer in (branch.conv1, branch.conv2, branch.conv3):
        weights += [layer.weight, layer.bias]
    cast = weights if dtype == weights[0].dtype else CastTogether.apply(dtype, *weights)
    return cast[:of_scan], cast[of_scan:]


def _convolve(branch: Any, x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Go through the convolution branch up to its last ReLU, (B, H, S) to (B, H, S)."""
    layers = (branch.norm1, branch.conv1), (branch.norm2, branch.conv2), (branch.norm3, branch.conv3)
    for number, (norm, layer) in enumerate(layers):
        statistics = norm.running_mean, norm.running_var, norm.num_batches_tracked
        options = norm.training, norm.momentum, norm.eps, number > 0
        x = BatchNormRelu.apply(x, norm.weight, norm.bias, *statistics, *options)
        x = layer._conv_forward(x, *weights[2 * number : 2 * number + 2])
    return x


def _scan(scan: Any, x: Tensor, of_gate: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Go through the scan branch behind its first norm, tokens (B, S, H), once more for the gate, to (B, S, H)."""
    in_proj, gate_proj, conv_weight, conv_bias, x_proj, out_proj = weights
    u = scan.conv._conv_forward(functional.linear(x, in_proj).movedim(-1, 1), conv_weight, conv_bias)
    u, of_projection = SiluForTwo.apply(u.movedim(1, -1).flatten(1, -2))
    gate = functional.linear(of_gate, gate_proj).flatten(1, -2)
    projected = functional.linear(of_projection, x_proj.flatten(0, 1)).unflatten(-1, x_proj.shape[:2])
    y = torch.ops.medmamba_monai.directional_scan(
        u, projected, scan.dt_weight, scan.dt_bias, NegativeExp.apply(scan.A_log), scan.D, list(x.shape[1:-1]),
        scan.scan_backend,
    )  # fmt: skip
    norm = scan.out_norm
    gated = NormGate.apply(y, gate, norm.weight, norm.bias, norm.eps, x.dtype)
    return functional.linear(gated, out_proj).view(x.shape)
