"""The relevance of a small MedMamba the long way round: forwards, number by number, with dense scan matrices.

Every factor that depends on the image is read from the network itself as it runs; then each number of each token is
sent through what is left, without any bias and without a gradient, and what arrives is shared out among the pixels of
its patch in a loop. Nothing of ``medmamba_monai.explain`` is used.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from medmamba_monai.networks import MedMamba
from medmamba_monai.networks.blocks import SSConvSSM
from medmamba_monai.selective_scan import scan_orders

Linear = Callable[[Tensor], Tensor]


def attention_matrix(scan: Any, tokens: Tensor, spatial_shape: list[int], k: int) -> Tensor:
    """The matrix (C, L, L) of direction k, by its formula, for the tokens (L, C) that are scanned; rows read."""
    order = scan_orders(spatial_shape, tokens.device)[k]
    rank, size = scan.dt_weight.shape[2], scan.A_log.shape[2]
    low_rank, B, C = (tokens[order] @ scan.x_proj_weight[k].mT).split([rank, size, size], dim=-1)
    delta = functional.softplus(low_rank @ scan.dt_weight[k].mT + scan.dt_bias[k])
    rate = -scan.A_log[k].exp()
    until = delta.cumsum(0)
    between = (until[:, None] - until[None]).clamp(min=0)  # (l, s, C): steps behind s up to l
    decay = torch.exp(between[..., None] * rate)
    matrix = torch.einsum("ln,lscn,sn->cls", C, decay, B) * delta.mT[:, None]
    placed = torch.zeros_like(matrix)
    placed[:, order[:, None], order[None]] = matrix.tril()
    return placed


def center(x: Tensor, deviation: Tensor, weight: Tensor) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / deviation * weight


def layer_norm(norm: nn.LayerNorm, seen: Tensor) -> Linear:
    """A layer norm with the deviation of what it saw."""
    deviation = (seen.var(-1, correction=0, keepdim=True) + norm.eps).sqrt()
    return lambda x: center(x, deviation, norm.weight)


def record_inputs(network: MedMamba, image: Tensor) -> dict[nn.Module, Tensor]:
    """The input of every module, of a network that runs on one image (1, C, S)."""
    seen: dict[nn.Module, Tensor] = {}
    hooks = [
        module.register_forward_pre_hook(lambda module, inputs: seen.update({module: inputs[0]}))
        for module in network.modules()
    ]
    network(image)
    for hook in hooks:
        hook.remove()
    return seen


def conv(layer: Any, x: Tensor) -> Tensor:
    return layer._conv_forward(x, layer.weight, None)


def convolution_branch(block: SSConvSSM, seen: dict[nn.Module, Tensor]) -> Linear:
    def run(x: Tensor) -> Tensor:
        for layer in block.conv_branch:
            if isinstance(layer, nn.ReLU):
                x = x * (seen[layer] > 0)
            elif isinstance(layer, (nn.Conv2d, nn.Conv3d)):
                x = conv(layer, x)
            else:
                scale = layer.weight / (layer.running_var + layer.eps).sqrt()
                x = x * scale.view(1, -1, *[1] * (x.ndim - 2))
        return x

    return run


def scan_branches(block: SSConvSSM, seen: dict[nn.Module, Tensor]) -> list[Linear]:
    """What each direction makes of the block's second half (P, H, S); the skip connection is split among them."""
    scan = block.ss2d
    before = scan.conv(scan.in_proj(seen[scan.in_proj]).movedim(-1, 1)).movedim(1, -1)
    shape = list(before.shape[1:-1])
    tokens = functional.silu(before).flatten(1, -2)[0]
    gate = functional.silu(scan.gate_proj(seen[scan.gate_proj]))
    norm, out = layer_norm(block.scan_norm, seen[block.scan_norm]), layer_norm(scan.out_norm, seen[scan.out_norm])

    def make(k: int) -> Linear:
        matrix = attention_matrix(scan, tokens, shape, k)

        def run(x: Tensor) -> Tensor:
            u = conv(scan.conv, scan.in_proj(norm(x.movedim(1, -1))).movedim(-1, 1)).movedim(1, -1)
            u = (u * torch.sigmoid(before)).flatten(1, -2)
            y = torch.einsum("cls,psc->plc", matrix, u) + scan.D[k] * u
            return scan.out_proj(out(y).unflatten(1, shape) * gate).movedim(-1, 1)

        return run

    return [make(k) for k in range(len(scan.D))]


def interleave(near: Tensor, far: Tensor) -> Tensor:
    return torch.stack((near, far), dim=2).flatten(1, 2)


@torch.no_grad()
def dense_relevance(network: MedMamba, image: Tensor, class_index: int) -> Tensor:
    """Relevance (readers, *S) of an image (1, C, *S) by its first reader: convolution, each direction, nobody."""
    seen = record_inputs(network, image)
    tokens = network.embedding(image)[0]
    untouched, touched = torch.diag(tokens.flatten()).unflatten(1, tokens.shape), None
    for stage in network.stages:
        for block in stage.blocks:
            convolve, directions = convolution_branch(block, seen), scan_branches(block, seen)
            near, far = untouched.chunk(2, dim=1)
            zero = torch.zeros_like(near)
            taken = [interleave(convolve(near), zero), *(interleave(zero, run(far)) for run in directions)]
            if touched is not None:
                halves = [part.chunk(2, dim=1) for part in touched]
                taken = [
                    new + old + interleave(convolve(near), sum(run(far) for run in directions))
                    for new, old, (near, far) in zip(taken, touched, halves, strict=True)
                ]
            touched = taken
        if not isinstance(stage.merging, nn.Identity):
            norm, after = layer_norm(stage.merging.norm, seen[stage.merging.norm]), stage.merging.reduction
            cells = [merge_cells(stage.merging, part) for part in (*touched, untouched)]
            *touched, untouched = (after(norm(part)).movedim(-1, 1) for part in cells)
    weight = network.head.weight[class_index]
    of_tokens = torch.stack([part.flatten(2).mean(-1) @ weight for part in (*touched, untouched)])
    return share_out(of_tokens.unflatten(1, tokens.shape), network.embedding.conv.weight, image.shape[2:])


def share_out(of_tokens: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
    """Share (readers, M, S) out among the pixels of each patch by the squares of the weights (M, channels, patch)."""
    pixels = of_tokens.new_zeros(len(of_tokens), *shape)
    squares = weight.square().sum(1)
    for offset in itertools.product(*map(range, squares.shape[1:])):
        share = squares[(slice(None), *offset)] / squares.flatten(1).sum(1)
        places = (
            slice(at, at + size * count, size)
            for at, size, count in zip(offset, squares.shape[1:], of_tokens.shape[2:], strict=True)
        )
        pixels[(slice(None), *places)] += torch.einsum("rm...,m->r...", of_tokens, share)
    return pixels


def merge_cells(merging: Any, x: Tensor) -> Tensor:
    """The neighbors of a cell side by side, as the merging itself lays them out: it runs without norm and weights."""
    norm, reduction = merging.norm, merging.reduction
    merging.norm, merging.reduction = nn.Identity(), nn.Identity()
    try:
        return merging(x).movedim(1, -1)
    finally:
        merging.norm, merging.reduction = norm, reduction
