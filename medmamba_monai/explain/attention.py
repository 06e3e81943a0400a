"""What one token reads through the scan of a block: a row of the scan's implicit attention.

With step sizes, B and C of an image, what a direction writes is a matrix times what it reads, for each channel (Ali et
al., "The Hidden Attention of Mamba Models", arXiv 2403.01590, section 3):

    attention(l, s) = sum over n of C_n(l) exp(A_n (delta(s+1) + ... + delta(l))) delta(s) B_n(s)    for s <= l

in the order of the direction. The skip connection D is left out: it reads the token itself. A row is the gradient of
what one token is given, so it takes the time and the memory of one scan, where the matrix would grow with the square
of the tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from monai.data import MetaTensor
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.explain.biases import BiasAccount
from medmamba_monai.explain.directions import scan_direction
from medmamba_monai.explain.frozen import FrozenScan, read_scan
from medmamba_monai.networks.blocks import SS2D
from medmamba_monai.selective_scan.inputs import ScanInputs


def list_scans(network: nn.Module) -> list[str]:
    """Return the names of the scans of a network, in its order: ``stages.0.blocks.0.ss2d`` and so on."""
    return [name for name, module in network.named_modules() if isinstance(module, SS2D)]


@torch.inference_mode(False)
def read_attention_row(network: nn.Module, images: Tensor, scan: str, direction: int, token: tuple[int, ...]) -> Tensor:
    """Compute what one token reads from every token, in one scan of one direction.

    Args:
        network: a :class:`~medmamba_monai.networks.MedMamba` in evaluation mode, or a network that holds one.
        images: ``(B, channels, *spatial)``, float.
        scan: one of :func:`list_scans`.
        direction: 0 to K - 1, in the order of :func:`~medmamba_monai.selective_scan.scan_orders`.
        token: place of the token that reads, on the map of the scan: (row, column), or (row, column, slice).

    Returns:
        ``(B, C, *S)``: the weight of every token S for each of the C channels of the scan. Zero for tokens that the
        direction visits later.

    Raises:
        UserError: there is no such scan, direction or token.

    Example:
        >>> from medmamba_monai.networks import MedMamba
        >>> network = MedMamba(2, 1, 3, depths=(1, 1), channels=(8, 16)).eval()
        >>> read_attention_row(network, torch.rand(1, 1, 32, 32), "stages.0.blocks.0.ss2d", 0, (2, 5)).shape
        torch.Size([1, 8, 8, 8])
    """
    layer, inputs = _run_to_scan(network, images, scan)
    shape = list(inputs.spatial_shape)
    _check(layer, shape, direction, token)
    number = 0
    for size, at in zip(shape, token, strict=True):
        number = number * size + at
    u = inputs.u.clone().requires_grad_()
    with torch.enable_grad():
        y = scan_direction(inputs._replace(u=u, D=torch.zeros_like(inputs.D)), direction, layer.scan_backend)
        (row,) = torch.autograd.grad(y[:, number].sum(), u)
    return row.mT.unflatten(2, shape)


def _run_to_scan(network: nn.Module, images: Tensor, name: str) -> tuple[Any, ScanInputs]:
    """Run a network up to a scan; return it and what it makes of its input."""
    scans = list_scans(network)
    if name not in scans:
        known = f"one of {', '.join(scans)}" if scans else "none, as this network has none"
        raise UserError(f"scan={name!r} is no scan of this network: choose {known}")
    layer: Any = network.get_submodule(name)
    found: list[ScanInputs] = []

    def keep(module: nn.Module, arguments: tuple[Tensor]) -> None:
        u = FrozenScan(layer, BiasAccount()).read(arguments[0])
        found.append(read_scan(layer, u.flatten(1, -2), list(u.shape[1:-1])))

    hook = layer.register_forward_pre_hook(keep)
    try:
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            network((images.as_tensor() if isinstance(images, MetaTensor) else images).clone())
    finally:
        hook.remove()
    return layer, found[-1]


def _check(layer: Any, shape: list[int], direction: int, token: tuple[int, ...]) -> None:
    directions = len(layer.A_log)
    if not 0 <= direction < directions:
        raise UserError(f"direction={direction!r}, but this scan has the directions 0 to {directions - 1}")
    if len(token) != len(shape) or any(not 0 <= at < size for at, size in zip(token, shape, strict=True)):
        raise UserError(f"token={token!r} is no place on the map of this scan, whose size is {shape}")
