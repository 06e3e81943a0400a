"""One function that builds any network of the pipeline by its name, for the bundles' option ``network_name``."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from numbers import Integral

from torch import nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks.attention_mil import BAG_NETWORKS
from medmamba_monai.networks.baselines import BASELINES, build_baseline
from medmamba_monai.networks.medmamba import MedMamba, medmamba_base, medmamba_small, medmamba_tiny

CONFIGURABLE = "medmamba"
_MEDMAMBAS: dict[str, tuple[str, Callable[..., MedMamba]]] = {
    CONFIGURABLE: ("MedMamba", medmamba_tiny),
    "medmamba_tiny": ("MedMamba-T", medmamba_tiny),
    "medmamba_small": ("MedMamba-S", medmamba_small),
    "medmamba_base": ("MedMamba-B", medmamba_base),
}

NETWORKS = {name: title for name, (title, _) in _MEDMAMBAS.items()} | {
    name: baseline.title for name, baseline in BASELINES.items()
}
"""Names of the networks, with their titles for readers."""


def build_network(
    name: str,
    spatial_dims: int,
    in_channels: int,
    num_classes: int,
    image_size: int,
    *,
    depths: Sequence[int] | None = None,
    channels: Sequence[int] | None = None,
    drop_path_rate: float | None = None,
    scan_backend: str = "auto",
    exportable: bool = False,
    grad_checkpointing: bool = False,
) -> nn.Module:
    """Build a network with random weights; an option that it does not have is refused, not ignored.

    Args:
        name: a key of :data:`NETWORKS`. ``medmamba`` is the one whose depths and channels can be chosen, by default
            those of MedMamba-T. ``swin_t``, ``convnext_b`` and the MedViTs exist for images only.
        spatial_dims: 2 for images, 3 for volumes.
        in_channels: channels of the input.
        num_classes: number of logits.
        image_size: edge of the images or volumes, pixels. ``vit_b16`` takes multiples of 16 and afterwards no other
            size; each of the others has a smallest size.
        depths: blocks of each stage of ``medmamba``.
        channels: channels of each stage of ``medmamba``.
        drop_path_rate: probability in [0, 1) of dropping the last block's branch for an image in training; None for
            the network's own default. ``resnet18``, ``resnet50``, ``densenet121`` and ``vit_b16`` have none.
        scan_backend: how the scan of a MedMamba is computed, see
            :func:`medmamba_monai.selective_scan.check_backend`.
        exportable: whether files made of a MedMamba load where this package is not installed, see
            :meth:`MedMamba.set_exportable`; those of the other networks always do.
        grad_checkpointing: whether training recomputes the scan branches of a MedMamba, see
            :meth:`MedMamba.set_grad_checkpointing`.

    Returns:
        The network in training mode, on the CPU. It maps images (B, in_channels, H, W) or volumes
        (B, in_channels, H, W, D) to logits (B, num_classes).

    Raises:
        UserError: there is no such network, it does not take the images or has no such option, a value is out of its
            range, or a package of the extra ``baselines`` is missing.

    Example:
        >>> import torch
        >>> net = build_network("medmamba", 2, 1, 3, image_size=32, depths=(1, 1), channels=(8, 16))
        >>> net(torch.zeros(4, 1, 32, 32)).shape
        torch.Size([4, 3])
    """
    _check_name(name)
    _check_counts(in_channels=in_channels, num_classes=num_classes, image_size=image_size)
    sizes = check_sizes(name, depths, channels)
    if name in BASELINES:
        if scan_backend != "auto":
            raise UserError(f"network {name!r} has no scan, but scan_backend={scan_backend!r} was given: leave it out")
        if grad_checkpointing:
            raise UserError(f"network {name!r} has no scan to recompute: leave out grad_checkpointing")
        return build_baseline(name, spatial_dims, in_channels, num_classes, image_size, drop_path_rate)
    rate = {} if drop_path_rate is None else {"drop_path_rate": drop_path_rate}
    build = _MEDMAMBAS[name][1]
    scan = {"scan_backend": scan_backend, "exportable": exportable, "use_checkpoint": grad_checkpointing}
    network = build(spatial_dims, in_channels, num_classes, **scan, **sizes, **rate)
    _check_size(name, network, image_size)
    return network


def check_sizes(name: str, depths: Sequence[int] | None, channels: Sequence[int] | None) -> dict[str, Sequence[int]]:
    """Return the sizes that were given for a network, by name.

    Args:
        name: of the network.
        depths: blocks of each stage, None where nothing was given.
        channels: width of each stage, likewise.

    Raises:
        UserError: the network has sizes of its own.
    """
    sizes = {key: value for key, value in (("depths", depths), ("channels", channels)) if value is not None}
    if sizes and name != CONFIGURABLE:
        given = " and ".join(f"{key}={value!r}" for key, value in sizes.items())
        raise UserError(f"network {name!r} has sizes of its own, but {given} was given: only 'medmamba' takes them")
    return sizes


def uses_scan(name: str) -> bool:
    """Say whether a network of :data:`NETWORKS` has a selective scan."""
    return name in _MEDMAMBAS


def _check_size(name: str, network: MedMamba, image_size: int) -> None:
    if image_size < network.smallest_size:
        raise UserError(
            f"network {name!r} with {len(network.stages)} stages takes images of {network.smallest_size} pixels or "
            f"more, not image_size={image_size}"
        )


def _check_name(name: str) -> None:
    if name in BAG_NETWORKS:
        raise UserError(f"network {name!r} takes tiles of slides, and these are images: choose another")
    if name not in NETWORKS:
        near = difflib.get_close_matches(str(name).lower(), NETWORKS, 1)
        advice = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"network {name!r} does not exist: {advice}There are {', '.join(NETWORKS)}")


def _check_counts(**counts: int) -> None:
    for option, value in counts.items():
        if not isinstance(value, Integral) or value < 1:
            raise UserError(f"network: {option} got {value!r}, but it must be a positive integer")
