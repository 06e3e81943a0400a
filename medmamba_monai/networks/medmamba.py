"""MedMamba for images and volumes, after Yue and Li, "MedMamba: Vision Mamba for Medical Image Classification" (2024).

An image becomes tokens, four stages of blocks halve the map between them, and the mean token gives the logits. The
parts and their letters are those of :mod:`~medmamba_monai.networks.blocks`. Maps are channel-first, (B, M, S), as
MONAI's and PyTorch's are.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import torch
from monai.data import MetaTensor
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks.blocks import SS2D, MedMambaStage, SSConvSSM, TokenEmbedding
from medmamba_monai.networks.layer_names import check_layers
from medmamba_monai.selective_scan import check_backend

__all__ = ["MedMamba", "medmamba_base", "medmamba_small", "medmamba_tiny"]


class MedMamba(nn.Module):
    """MedMamba, a classifier and a backbone; the defaults are MedMamba-T.

    An image becomes tokens (patches of ``patch_size``), each stage but the last halves the map, and the mean token of
    the last stage gives the logits. Where an axis does not divide, the border is cropped as in the official code.

    Args:
        spatial_dims: 2 for images, 3 for volumes.
        in_channels: channels of the input.
        num_classes: number of logits; 0 for none, the network then returns the mean token.
        depths: blocks of each stage.
        channels: channels of each stage, even numbers; as many as ``depths``.
        patch_size: edge of a patch in pixels.
        state_size: size of the state of each scanned channel.
        drop_path_rate: probability in [0, 1) of dropping the scan branch of the last block; it grows linearly from
            0 at the first block.
        act: activation of the convolution branches: a name, or a name and arguments, as MONAI's networks take it.
        norm: normalization of the convolution branches, in the same manner; ``("group", {"num_groups": 4})``.
        scan_backend: ``auto`` (the fastest that is there) or the name of a backend, see
            :func:`medmamba_monai.selective_scan.check_backend`.
        exportable: see :meth:`set_exportable`.
        use_checkpoint: see :meth:`set_grad_checkpointing`.

    Attributes:
        num_classes: number of logits, 0 for none.
        num_features: channels of the last map, and of the mean token.
        stage_channels: channels of each map of :meth:`stage_features`.
        stage_strides: pixels of the input that one step on each of these maps spans.
        smallest_size: smallest size of a spatial axis of the input, pixels.

    Raises:
        UserError: an argument is out of its range, or ``scan_backend``, ``act`` or ``norm`` does not exist.

    Example:
        >>> net = MedMamba(spatial_dims=2, in_channels=1, num_classes=2, depths=(1, 1), channels=(8, 16))
        >>> net(torch.zeros(4, 1, 32, 32)).shape
        torch.Size([4, 2])
        >>> [tuple(map.shape) for map in net.stage_features(torch.zeros(4, 1, 32, 32))]
        [(4, 8, 8, 8), (4, 16, 4, 4)]
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 3,
        num_classes: int = 1000,
        *,
        depths: Sequence[int] = (2, 2, 4, 2),
        channels: Sequence[int] = (96, 192, 384, 768),
        patch_size: int = 4,
        state_size: int = 16,
        drop_path_rate: float = 0.1,
        act: tuple | str = "relu",
        norm: tuple | str = "batch",
        scan_backend: str = "auto",
        exportable: bool = False,
        use_checkpoint: bool = False,
    ) -> None:
        super().__init__()
        sizes = {"in_channels": in_channels, "patch_size": patch_size, "state_size": state_size}
        _check_arguments(spatial_dims, num_classes, depths, channels, drop_path_rate, **sizes)
        check_layers(act, norm, spatial_dims, [width // 2 for width in channels])
        check_backend(scan_backend)
        self.spatial_dims, self.in_channels, self.num_classes = spatial_dims, in_channels, num_classes
        self.smallest_size = patch_size * 2 ** (len(depths) - 1)
        self.num_features, self.stage_channels = channels[-1], tuple(channels)
        self.stage_strides = tuple(patch_size * 2**stage for stage in range(len(depths)))
        self.embedding = TokenEmbedding(spatial_dims, in_channels, channels[0], patch_size)
        options = {"state_size": state_size, "act": act, "norm": norm, "use_checkpoint": use_checkpoint}
        options |= {"scan_backend": scan_backend, "exportable": exportable}
        rates = torch.linspace(0, drop_path_rate, sum(depths), device="cpu").split(list(depths))
        widths = zip(channels, [*channels[1:], None], rates, strict=True)
        self.stages = nn.Sequential(
            *(MedMambaStage(spatial_dims, width, after, rate.tolist(), **options) for width, after, rate in widths)
        )
        self.head: nn.Module = nn.Linear(channels[-1], num_classes) if num_classes else nn.Identity()
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
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """Compute the map of the last stage.

        Args:
            x: as :meth:`forward` takes it.

        Returns:
            (B, num_features, S), S being the spatial shape of ``x`` divided by the last of ``stage_strides``.
        """
        return self.stages(self.embed(x))

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Go from the map of the last stage to the logits.

        Args:
            features: (B, num_features, S), what :meth:`forward_features` returns.
            pre_logits: whether to stop before the linear layer.

        Returns:
            Logits (B, num_classes), or the mean token (B, num_features) with ``pre_logits`` or without classes.
        """
        token = features.movedim(1, -1).flatten(1, -2).mean(1)
        return token if pre_logits else self.head(token)

    @torch.jit.export
    def stage_features(self, x: Tensor) -> list[Tensor]:
        """Compute the map of every stage, the finest first, as a decoder or a detector takes them.

        Args:
            x: as :meth:`forward` takes it.

        Returns:
            A map (B, M, S) for each stage: M its entry of ``stage_channels``, S the spatial shape of ``x`` divided by
            its entry of ``stage_strides``, rounded down.
        """
        tokens = self.embed(x)
        maps: list[Tensor] = []
        for stage in self.stages:
            tokens = stage.blocks(tokens)  # type: ignore[operator]
            maps.append(tokens)
            tokens = stage.merging(tokens)  # type: ignore[operator]
        return maps

    def embed(self, x: Tensor) -> Tensor:
        """Check an input as :meth:`forward` takes it and cut it into tokens, a map (B, M, S)."""
        self.check_input(x)
        if not torch.jit.is_scripting() and isinstance(x, MetaTensor):
            x = x.as_tensor()  # its bookkeeping at every operation takes time, and logits have no use for it
        return self.embedding(x)

    def check_input(self, x: Tensor) -> None:
        """Raise a UserError unless ``x`` has the rank, the channels and the size that the network needs."""
        check_shape(x, self.spatial_dims, self.in_channels, self.smallest_size)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the head by a newly drawn one on the same device and in the same dtype.

        Args:
            num_classes: number of logits; 0 for none, the network then returns the mean token.

        Raises:
            UserError: ``num_classes`` is no whole number of at least 0.
        """
        _check_classes(num_classes)
        like = self.embedding.conv.weight
        head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        self.head, self.num_classes = head.to(like.device, like.dtype), num_classes
        _draw_linear_and_convolution(self.head)

    def set_exportable(self, enable: bool = True) -> None:
        """Choose whether files made of this network load where this package is not installed.

        ``torch.jit.script``, ``torch.export`` and ONNX then see plain ATen operations in place of the scan's operator,
        whatever ``scan_backend`` says. That is slower, and a backward pass stores every state of the scan: switch it
        on for the export, not for training.

        Args:
            enable: False for the operator again.
        """
        for module in self.modules():
            if isinstance(module, SS2D):
                module.exportable = enable

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Choose whether training recomputes the scan branches in the backward pass, which saves memory.

        Args:
            enable: False to store their activations.
        """
        for module in self.modules():
            if isinstance(module, SSConvSSM):
                module.use_checkpoint = enable

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


def medmamba_tiny(spatial_dims: int = 2, in_channels: int = 3, num_classes: int = 1000, **options: Any) -> MedMamba:
    """Build MedMamba-T, 14.5 million parameters at 6 classes; ``options`` are those of :class:`MedMamba`."""
    return MedMamba(spatial_dims, in_channels, num_classes, **options)


def medmamba_small(spatial_dims: int = 2, in_channels: int = 3, num_classes: int = 1000, **options: Any) -> MedMamba:
    """Build MedMamba-S as the official code has it, 18.6 million parameters at 6 classes (the paper prints 23.5)."""
    return MedMamba(spatial_dims, in_channels, num_classes, depths=(2, 2, 8, 2), **options)


def medmamba_base(spatial_dims: int = 2, in_channels: int = 3, num_classes: int = 1000, **options: Any) -> MedMamba:
    """Build MedMamba-B as the official code has it, 39.9 million parameters at 6 classes (the paper prints 48.1)."""
    channels = (128, 256, 512, 1024)
    return MedMamba(spatial_dims, in_channels, num_classes, depths=(2, 2, 12, 2), channels=channels, **options)


@torch.fx.wrap  # torch.fx cannot follow a condition on a shape, and keeps the call
def check_shape(x: Tensor, spatial_dims: int, in_channels: int, smallest_size: int) -> None:
    """Raise a UserError unless ``x`` has this rank, these channels, and this size or more along each axis."""
    if x.ndim != spatial_dims + 2 or x.shape[1] != in_channels or min(x.shape[2:]) < smallest_size:
        raise UserError(
            f"this MedMamba takes (batch, channels, spatial axes) with {in_channels} channels and "
            f"{spatial_dims} spatial axes, the smallest size of each is {smallest_size}; "
            f"got the shape {list(x.shape)}"
        )


def _draw_linear_and_convolution(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, (nn.Conv2d, nn.Conv3d)):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _check_arguments(
    spatial_dims: int,
    num_classes: int,
    depths: Sequence[int],
    channels: Sequence[int],
    drop_path_rate: float,
    **counts: int,
) -> None:
    if spatial_dims not in (2, 3):
        raise UserError(f"MedMamba: spatial_dims={spatial_dims!r}, but it must be 2 (images) or 3 (volumes)")
    if not depths or len(depths) != len(channels):
        raise UserError(f"MedMamba: depths={depths!r} and channels={channels!r} must each have one entry for a stage")
    _check_classes(num_classes)
    for name, value in [*counts.items(), *(("depths", d) for d in depths), *(("channels", c) for c in channels)]:
        if not isinstance(value, Integral) or value < 1:
            raise UserError(f"MedMamba: {name} got {value!r}, but it must be a positive integer")
    if any(width % 2 for width in channels):
        raise UserError(f"MedMamba: channels={channels!r}, but each branch takes one half: use even numbers")
    if not 0 <= drop_path_rate < 1:
        raise UserError(f"MedMamba: drop_path_rate={drop_path_rate!r}, but it must be in [0, 1)")


def _check_classes(num_classes: int) -> None:
    if not isinstance(num_classes, Integral) or num_classes < 0:
        raise UserError(f"MedMamba: num_classes got {num_classes!r}, but it must be a positive integer, or 0 for none")
