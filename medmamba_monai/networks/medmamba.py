"""MedMamba for images and volumes, after Yue and Li, "MedMamba: Vision Mamba for Medical Image Classification" (2024).

The network from the inside out: ``SS2D`` (the selective scan along the image axes), ``SSConvSSM`` (the block with a
convolution branch beside the scan branch), ``MedMambaStage`` (blocks, then a token merging) and ``MedMamba``.

Letters: B images in a batch, S the spatial shape of a feature map, L = prod(S) its tokens, M channels of a block,
C channels inside a scan, K = 2 * spatial_dims scan directions, N state size, R rank of the step size dt.
Feature maps are channel-last, (B, S, M), between all parts; convolutions see them in channels-last memory format.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import torch
from monai.data import MetaTensor
from monai.networks.layers import Act, Conv, DropPath, Norm
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from medmamba_monai.core.errors import UserError
from medmamba_monai.selective_scan import check_backend
from medmamba_monai.selective_scan.chunked import chunked_directional_scan

__all__ = ["MedMamba", "medmamba_base", "medmamba_small", "medmamba_tiny"]

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
    """

    __constants__ = ("exportable",)

    def __init__(self, spatial_dims: int, in_channels: int, state_size: int = 16, scan_backend: str = "auto") -> None:
        super().__init__()
        channels, directions, rank = 2 * in_channels, 2 * spatial_dims, math.ceil(in_channels / 16)
        self.scan_backend = scan_backend
        self.exportable = scan_backend == "torch"
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
        """Scan tokens ``u`` (B, L, C) of a map of ``spatial_shape`` in all K directions; returns the sum (B, L, C)."""
        projected = functional.linear(u, self.x_proj_weight.flatten(0, 1)).unflatten(-1, self.x_proj_weight.shape[:2])
        A = -torch.exp(self.A_log)
        if self.exportable:
            return chunked_directional_scan(u, projected, self.dt_weight, self.dt_bias, A, self.D, spatial_shape)
        return torch.ops.medmamba_monai.directional_scan(
            u, projected, self.dt_weight, self.dt_bias, A, self.D, spatial_shape, self.scan_backend
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, S, M) to (B, S, M)."""
        u = functional.silu(self.conv(self.in_proj(x).movedim(-1, 1))).movedim(1, -1)
        y = self.scan(u.flatten(1, -2), list(u.shape[1:-1]))
        return self.out_proj(self.out_norm(y).view(u.shape) * functional.silu(self.gate_proj(x)))


class SSConvSSM(nn.Module):
    """Block with a convolution branch for what is near and a scan branch for what is far (the paper's SS-Conv-SSM).

    The first half of the channels goes through the convolutions and the second through the scan. The halves are then
    interleaved (concatenation and a channel shuffle with two groups) and added to the input.

    Args:
        spatial_dims: 2 for images, 3 for volumes.
        channels: channels M of the input and of the output, an even number.
        state_size: size N of the state of each scanned channel.
        drop_path: probability in [0, 1) of leaving out the scan branch for an image in training.
        scan_backend: backend of the scan.
        use_checkpoint: whether to recompute the scan branch in the backward pass instead of storing it.
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        state_size: int = 16,
        drop_path: float = 0.0,
        scan_backend: str = "auto",
        use_checkpoint: bool = False,
    ) -> None:
        super().__init__()
        half = channels // 2
        conv, norm = Conv[Conv.CONV, spatial_dims], Norm[Norm.BATCH, spatial_dims]
        self.use_checkpoint = use_checkpoint
        self.scan_norm = nn.LayerNorm(half)
        self.ss2d = SS2D(spatial_dims, half, state_size, scan_backend)
        self.drop_path = DropPath(drop_path)
        self.conv_branch = nn.Sequential(
            OrderedDict(
                norm1=norm(half),
                conv1=conv(half, half, kernel_size=3, padding=1),
                norm2=norm(half),
                act2=Act[Act.RELU](),
                conv2=conv(half, half, kernel_size=3, padding=1),
                norm3=norm(half),
                act3=Act[Act.RELU](),
                conv3=conv(half, half, kernel_size=1),
                act4=Act[Act.RELU](),
            )
        )

    def scan_branch(self, x: Tensor) -> Tensor:
        """Normalize and scan (B, S, M / 2)."""
        return self.ss2d(self.scan_norm(x))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, S, M) to (B, S, M)."""
        near, far = x.chunk(2, dim=-1)
        near = self.conv_branch(near.contiguous().movedim(-1, 1)).movedim(1, -1)
        if not torch.jit.is_scripting() and self.use_checkpoint and self.training:
            # Only this branch: a second pass through the other one would move its batch statistics twice.
            far = checkpoint(self.scan_branch, far, use_reentrant=False)
        else:
            far = self.scan_branch(far)
        return x + torch.stack((near, self.drop_path(far)), dim=-1).flatten(-2)


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
        """Map (B, in_channels, image shape) to (B, S, M)."""
        return self.norm(self.conv(x).movedim(1, -1))


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
        """Map (B, S, M) to (B, S // 2, out_channels)."""
        for axis in range(self.spatial_dims, 0, -1):
            half = x.shape[axis] // 2
            x = x.narrow(axis, 0, 2 * half).unflatten(axis, [half, 2])
        return self.reduction(self.norm(x.permute(self.order).flatten(self.spatial_dims + 1)))


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
        """Map (B, S, M) to (B, S // 2, out_channels), or to (B, S, M) without merging."""
        return self.merging(self.blocks(x))


class MedMamba(nn.Module):
    """MedMamba classifier; the defaults are MedMamba-T.

    An image becomes tokens (patches of ``patch_size``), each stage but the last halves the map, and the mean token of
    the last stage gives the logits. Where an axis does not divide, the border is cropped as in the official code.

    Args:
        spatial_dims: 2 for images, 3 for volumes.
        in_channels: channels of the input.
        num_classes: number of logits.
        depths: blocks of each stage.
        channels: channels of each stage, even numbers; as many as ``depths``.
        patch_size: edge of a patch in pixels.
        state_size: size of the state of each scanned channel.
        drop_path_rate: probability in [0, 1) of dropping the scan branch of the last block; it grows linearly from
            0 at the first block.
        scan_backend: ``auto`` (the fastest that is there) or the name of a backend, see
            :func:`medmamba_monai.selective_scan.check_backend`. With ``torch``, exported and scripted networks
            hold no custom operator and run where this package is not installed.
        use_checkpoint: whether to recompute the scan branches in the backward pass, which saves memory in training.

    Raises:
        UserError: an argument is out of its range or ``scan_backend`` does not exist.

    Example:
        >>> net = MedMamba(spatial_dims=2, in_channels=1, num_classes=2, depths=(1, 1), channels=(8, 16))
        >>> net(torch.zeros(4, 1, 32, 32)).shape
        torch.Size([4, 2])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        *,
        depths: Sequence[int] = (2, 2, 4, 2),
        channels: Sequence[int] = (96, 192, 384, 768),
        patch_size: int = 4,
        state_size: int = 16,
        drop_path_rate: float = 0.1,
        scan_backend: str = "auto",
        use_checkpoint: bool = False,
    ) -> None:
        super().__init__()
        sizes = {"patch_size": patch_size, "state_size": state_size}
        _check_arguments(
            spatial_dims, depths, channels, drop_path_rate, in_channels=in_channels, num_classes=num_classes, **sizes
        )
        check_backend(scan_backend)
        self.spatial_dims, self.in_channels = spatial_dims, in_channels
        self.smallest_size = patch_size * 2 ** (len(depths) - 1)
        self.embedding = TokenEmbedding(spatial_dims, in_channels, channels[0], patch_size)
        options = {"state_size": state_size, "scan_backend": scan_backend, "use_checkpoint": use_checkpoint}
        rates = torch.linspace(0, drop_path_rate, sum(depths), device="cpu").split(list(depths))
        widths = zip(channels, [*channels[1:], None], rates, strict=True)
        self.stages = nn.Sequential(
            *(MedMambaStage(spatial_dims, width, after, rate.tolist(), **options) for width, after, rate in widths)
        )
        self.head = nn.Linear(channels[-1], num_classes)
        self.apply(_draw_linear_and_convolution)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits.

        Args:
            x: images (B, in_channels, H, W) or volumes (B, in_channels, H, W, D), at least ``smallest_size`` along
                each spatial axis.

        Returns:
            Logits (B, num_classes), a plain tensor also for a ``MetaTensor``.

        Raises:
            UserError: the rank, the channels or the size of ``x`` do not fit the network (a ``ValueError``).
        """
        self.check_input(x)
        if not torch.jit.is_scripting() and isinstance(x, MetaTensor):
            x = x.as_tensor()  # its bookkeeping at every operation takes time, and logits have no use for it
        tokens = self.stages(self.embedding(x))
        return self.head(tokens.flatten(1, -2).mean(1))

    def check_input(self, x: Tensor) -> None:
        """Raise a UserError unless ``x`` has the rank, the channels and the size that the network needs."""
        if x.ndim != self.spatial_dims + 2 or x.shape[1] != self.in_channels or min(x.shape[2:]) < self.smallest_size:
            raise UserError(
                f"this MedMamba takes (batch, channels, spatial axes) with {self.in_channels} channels and "
                f"{self.spatial_dims} spatial axes, the smallest size of each is {self.smallest_size}; "
                f"got the shape {list(x.shape)}"
            )

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Group the parameters for an optimizer, so that A, D, norms and biases do not decay.

        Args:
            weight_decay: weight decay of all other parameters, at least 0.

        Returns:
            Two groups with the keys ``params`` and ``weight_decay``, as ``torch.optim`` takes them.
        """
        decaying: list[nn.Parameter] = []
        constant: list[nn.Parameter] = []
        for name, parameter in self.named_parameters():
            decays = parameter.ndim > 1 and not name.endswith((".A_log", ".D", "bias"))
            (decaying if decays else constant).append(parameter)
        return [{"params": decaying, "weight_decay": weight_decay}, {"params": constant, "weight_decay": 0.0}]


def medmamba_tiny(num_classes: int, spatial_dims: int = 2, in_channels: int = 3, **options: Any) -> MedMamba:
    """MedMamba-T, 14.5 million parameters at 6 classes; ``options`` are those of :class:`MedMamba`."""
    return MedMamba(spatial_dims, in_channels, num_classes, **options)


def medmamba_small(num_classes: int, spatial_dims: int = 2, in_channels: int = 3, **options: Any) -> MedMamba:
    """MedMamba-S as the official code has it, 18.6 million parameters at 6 classes (the paper prints 23.5)."""
    return MedMamba(spatial_dims, in_channels, num_classes, depths=(2, 2, 8, 2), **options)


def medmamba_base(num_classes: int, spatial_dims: int = 2, in_channels: int = 3, **options: Any) -> MedMamba:
    """MedMamba-B as the official code has it, 39.9 million parameters at 6 classes (the paper prints 48.1)."""
    channels = (128, 256, 512, 1024)
    return MedMamba(spatial_dims, in_channels, num_classes, depths=(2, 2, 12, 2), channels=channels, **options)


def _draw_linear_and_convolution(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, (nn.Conv2d, nn.Conv3d)):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _check_arguments(
    spatial_dims: int, depths: Sequence[int], channels: Sequence[int], drop_path_rate: float, **counts: int
) -> None:
    if spatial_dims not in (2, 3):
        raise UserError(f"MedMamba: spatial_dims={spatial_dims!r}, but it must be 2 (images) or 3 (volumes)")
    if not depths or len(depths) != len(channels):
        raise UserError(f"MedMamba: depths={depths!r} and channels={channels!r} must each have one entry for a stage")
    for name, value in [*counts.items(), *(("depths", d) for d in depths), *(("channels", c) for c in channels)]:
        if not isinstance(value, Integral) or value < 1:
            raise UserError(f"MedMamba: {name} got {value!r}, but it must be a positive integer")
    if any(width % 2 for width in channels):
        raise UserError(f"MedMamba: channels={channels!r}, but each branch takes one half: use even numbers")
    if not 0 <= drop_path_rate < 1:
        raise UserError(f"MedMamba: drop_path_rate={drop_path_rate!r}, but it must be in [0, 1)")
