"""The parts of MedMamba, from the inside out.

``SS2D`` is the selective scan along the image axes, ``SSConvSSM`` the block with a convolution branch beside the scan
branch, ``TokenEmbedding`` and ``TokenMerging`` make and merge tokens, ``MedMambaStage`` holds the blocks of one
resolution.

Letters: B images in a batch, S the spatial shape of a feature map, L = prod(S) its tokens, M channels of a block,
C channels inside a scan, K = 2 * spatial_dims scan directions, N state size, R rank of the step size dt.
Maps are (B, M, S) between all parts, as PyTorch's and MONAI's hooks and Grad-CAM take them, and lie in memory with the
channels last: the linear layers and layer norms inside a part see them as tokens (B, S, M) without a copy.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers import Conv, DropPath, get_act_layer, get_norm_layer
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from medmamba_monai.networks.fused.block import can_fuse, fused_block
from medmamba_monai.selective_scan.chunked import chunked_directional_scan
from medmamba_monai.selective_scan.expected import expect_scans_of
from medmamba_monai.selective_scan.inputs import ScanInputs

torch.fx.wrap("chunked_directional_scan")
SMALLEST_STEP, LARGEST_STEP = 1e-3, 0.1


class SS2D(nn.Module):
    """Selective scan of a feature map along its axes (the paper's 2D-selective-scan), in 2D and in 3D.

    Every axis order is scanned forward and reversed, so K = 4 in 2D (row-major, column-major, then both reversed) and
    K = 6 in 3D. All directions read the same channel-last tokens; their outputs are summed, normalized and gated.

    Args:
        spatial_dims: 2 for images, 3 for volumes.
        in_channels: channels M of the input and of the output. The scan itself has C = 2 * M channels.
        state_size: size N of the state of each channel.
        scan_backend: backend of the scan, see :func:`medmamba_monai.selective_scan.check_backend`.
        exportable: whether the scan is spelt out in plain ATen operations, whatever the backend, so that a file made
            of the network loads without this package. The plain operations store every state for a backward pass.
    """

    __constants__ = ("exportable",)

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        state_size: int = 16,
        scan_backend: str = "auto",
        exportable: bool = False,
    ) -> None:
        super().__init__()
        channels, directions, rank = 2 * in_channels, 2 * spatial_dims, math.ceil(in_channels / 16)
        self.scan_backend, self.exportable = scan_backend, exportable
        self.in_proj = nn.Linear(in_channels, channels, bias=False)
        self.gate_proj = nn.Linear(in_channels, channels, bias=False)
        self.conv = Conv[Conv.CONV, spatial_dims](channels, channels, kernel_size=3, padding=1, groups=channels)
        self.x_proj_weight = nn.Parameter(torch.empty(directions, rank + 2 * state_size, channels))
        self.dt_weight = nn.Parameter(torch.empty(directions, channels, rank))
        self.dt_bias = nn.Parameter(torch.empty(directions, channels))
        self.A_log = nn.Parameter(torch.empty(directions, channels, state_size))
        self.D = nn.Parameter(torch.empty(directions, channels))
        self.out_norm = nn.LayerNorm(channels)
        self.out_proj = nn.Linear(channels, in_channels, bias=False)
        self.reset_scan_parameters()
        expect_scans_of(self)

    @torch.no_grad()
    def reset_scan_parameters(self) -> None:
        """Draw the parameters of the scan: A = -(1..N), D = 1, softplus(dt bias) log-uniform in [0.001, 0.1]."""
        _, channels, rank = self.dt_weight.shape
        self.x_proj_weight.uniform_(-(channels**-0.5), channels**-0.5)
        self.dt_weight.uniform_(-(rank**-0.5), rank**-0.5)
        step = self.dt_bias.uniform_(math.log(SMALLEST_STEP), math.log(LARGEST_STEP)).exp()
        self.dt_bias.copy_(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus
        self.A_log.copy_(torch.arange(1, self.A_log.shape[-1] + 1).log().expand_as(self.A_log))
        self.D.fill_(1.0)

    def scan(self, u: Tensor, spatial_shape: list[int]) -> Tensor:
        """Scan tokens ``u`` (B, L, C) of a map of ``spatial_shape`` in all K directions; return the sum (B, L, C)."""
        projected = functional.linear(u, self.x_proj_weight.flatten(0, 1)).unflatten(-1, self.x_proj_weight.shape[:2])
        A = -torch.exp(self.A_log)
        inputs = ScanInputs(u, projected, self.dt_weight, self.dt_bias, A, self.D, spatial_shape)
        if self.exportable:
            return chunked_directional_scan(inputs)
        if not torch.jit.is_scripting() and torch.jit.is_tracing():  # the tracer fails at an operator that takes sizes
            return chunked_directional_scan(inputs)
        return torch.ops.medmamba_monai.directional_scan(
            u, projected, self.dt_weight, self.dt_bias, A, self.D, spatial_shape, self.scan_backend
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, M, S) to (B, M, S)."""
        tokens = x.movedim(1, -1)
        u = functional.silu(self.conv(self.in_proj(tokens).movedim(-1, 1))).movedim(1, -1)
        y = widen(self.scan(u.flatten(1, -2), get_spatial_shape(u)), u, self.x_proj_weight)
        gated = self.out_norm(y).view(u.shape) * functional.silu(self.gate_proj(tokens))
        return self.out_proj(gated).movedim(-1, 1)


@torch.fx.wrap  # torch.fx cannot follow a condition on a dtype, and keeps the call
def widen(y: Tensor, u: Tensor, weight: Tensor) -> Tensor:
    """Return what the scan made of ``u``, in the dtype of the weights unless the scan kept that of ``u``."""
    return y if y.dtype == u.dtype else y.to(weight.dtype)


@torch.fx.wrap
def get_spatial_shape(tokens: Tensor) -> list[int]:
    """Return S of tokens (B, S, M) as a list, which ``torch.fx`` cannot make of a traced shape."""
    return list(tokens.shape[1:-1])


class SSConvSSM(nn.Module):
    """Block with a convolution branch for what is near and a scan branch for what is far (the paper's SS-Conv-SSM).

    The first half of the channels goes through the convolutions and the second through the scan. The halves are then
    interleaved (concatenation and a channel shuffle with two groups) and added to the input.

    Args:
        spatial_dims: 2 for images, 3 for volumes.
        channels: channels M of the input and of the output, an even number.
        state_size: size N of the state of each scanned channel.
        drop_path: probability in [0, 1) of leaving out the scan branch for an image in training.
        use_checkpoint: whether to recompute the scan branch in the backward pass instead of storing it.
        act: activation of the convolution branch, as MONAI's ``get_act_layer`` takes it.
        norm: normalization of the convolution branch, as MONAI's ``get_norm_layer`` takes it.
        scan_options: further arguments of :class:`SS2D`.
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        state_size: int = 16,
        drop_path: float = 0.0,
        use_checkpoint: bool = False,
        act: tuple | str = "relu",
        norm: tuple | str = "batch",
        **scan_options: Any,
    ) -> None:
        super().__init__()
        half = channels // 2
        conv = Conv[Conv.CONV, spatial_dims]
        self.use_checkpoint = use_checkpoint
        self.scan_norm = nn.LayerNorm(half)
        self.ss2d = SS2D(spatial_dims, half, state_size, **scan_options)
        self.drop_path = DropPath(drop_path)
        self.conv_branch = nn.Sequential(
            OrderedDict(
                norm1=get_norm_layer(norm, spatial_dims, half),
                conv1=conv(half, half, kernel_size=3, padding=1),
                norm2=get_norm_layer(norm, spatial_dims, half),
                act2=get_act_layer(act),
                conv2=conv(half, half, kernel_size=3, padding=1),
                norm3=get_norm_layer(norm, spatial_dims, half),
                act3=get_act_layer(act),
                conv3=conv(half, half, kernel_size=1),
                act4=get_act_layer(act),
            )
        )

    def scan_branch(self, x: Tensor) -> Tensor:
        """Normalize and scan (B, M / 2, S)."""
        return self.ss2d(self.scan_norm(x.movedim(1, -1)).movedim(-1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, M, S) to (B, M, S)."""
        if not torch.jit.is_scripting():  # noqa: SIM102 (TorchScript reads conditions that are joined to this one)
            if can_fuse(self, x):
                return fused_block(self, x)
        tokens = x.movedim(1, -1)
        near, far = tokens.chunk(2, dim=-1)
        near, far = self.conv_branch(near.contiguous().movedim(-1, 1)), far.movedim(-1, 1)
        if not torch.jit.is_scripting() and self.use_checkpoint and self.training:
            # Only this branch: a second pass through the other one would move its batch statistics twice.
            far = checkpoint(self.scan_branch, far, use_reentrant=False)
        else:
            far = self.scan_branch(far)
        branches = near.movedim(1, -1), self.drop_path(far).movedim(1, -1)
        return (tokens + torch.stack(branches, dim=-1).flatten(-2)).movedim(-1, 1)


class TokenEmbedding(nn.Module):
    """Cut an image into patches without overlap, one token each.

    Args:
        spatial_dims: 2 for images, 3 for volumes.
        in_channels: channels of the image.
        channels: channels M of a token.
        patch_size: edge of a patch in pixels; what remains at the far border is cropped.
    """

    def __init__(self, spatial_dims: int, in_channels: int, channels: int, patch_size: int) -> None:
        super().__init__()
        self.conv = Conv[Conv.CONV, spatial_dims](in_channels, channels, kernel_size=patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, image shape) to (B, M, S)."""
        return self.norm(self.conv(x).movedim(1, -1)).movedim(-1, 1)


class TokenMerging(nn.Module):
    """Halve a feature map: the neighbors in a 2 x 2 (x 2) cell are concatenated, normalized and projected.

    The last row or column of an odd-sized map is cropped, as in the official code.

    Args:
        spatial_dims: 2 for images, 3 for volumes.
        in_channels: channels M of the input.
        out_channels: channels of the output.
    """

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        cells, offsets = range(1, 2 * spatial_dims, 2), range(2 * spatial_dims, 0, -2)  # the first axis varies fastest
        self.order = [0, *cells, *offsets, 2 * spatial_dims + 1]
        self.reduction = nn.Linear(2**spatial_dims * in_channels, out_channels, bias=False)
        self.norm = nn.LayerNorm(2**spatial_dims * in_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, M, S) to (B, out_channels, S // 2)."""
        x = x.movedim(1, -1)
        for axis in range(self.spatial_dims, 0, -1):
            x = crop_to_even(x, axis).unflatten(axis, [x.shape[axis] // 2, 2])
        return self.reduction(self.norm(x.permute(self.order).flatten(self.spatial_dims + 1))).movedim(-1, 1)


@torch.fx.wrap
def crop_to_even(x: Tensor, axis: int) -> Tensor:
    """Crop an axis of odd size by one; what is even is returned as it is, since cropping has a gradient to compute."""
    size = x.shape[axis] // 2 * 2
    if not torch.jit.is_scripting():
        traced = torch.jit.is_tracing() or torch.compiler.is_compiling()  # the size may be another one later
        if not traced and size == x.shape[axis]:
            return x
    return x.narrow(axis, 0, size)


class MedMambaStage(nn.Module):
    """Blocks at one resolution, then a token merging (the last stage has none).

    Args:
        spatial_dims: 2 for images, 3 for volumes.
        channels: channels M of the blocks.
        out_channels: channels after the merging, or None for no merging.
        drop_path: one probability for each block; their number is the depth of the stage.
        block_options: further arguments of :class:`SSConvSSM`.
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        out_channels: int | None,
        drop_path: Sequence[float],
        **block_options: Any,
    ) -> None:
        super().__init__()
        blocks = (SSConvSSM(spatial_dims, channels, drop_path=rate, **block_options) for rate in drop_path)
        self.blocks = nn.Sequential(*blocks)
        self.merging = nn.Identity() if out_channels is None else TokenMerging(spatial_dims, channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, M, S) to (B, out_channels, S // 2), or to (B, M, S) without merging."""
        return self.merging(self.blocks(x))
