"""A MedMamba that is linear in its input around an image: the same outputs, another derivative.

Step sizes, B, C and the gates of every scan are held constant, as MambaLRP does (Rezaei Jafari et al., arXiv
2406.07592), and with them all other factors that depend on the input (:mod:`~medmamba_monai.explain.rules`). What is
left is a linear map of the tokens and the biases, so that the gradient of a logit times the tokens conserves it.

**Streams** tell which way relevance took. The map between two blocks is held several times, with the same values: one
copy is read by the convolution branch, one by each direction of the scan, and the last by nobody but the head. What a
block writes is added to all of them. The gradient of the head's logit in a stream is then what that reader took up
first, and the streams add up to the whole, as every path from a pixel to the logit leaves the residual connection
first in one branch, or in none.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from medmamba_monai.explain.biases import BiasAccount
from medmamba_monai.explain.directions import scan_apart
from medmamba_monai.explain.rules import Rule, find_rule, hold_silu
from medmamba_monai.networks.blocks import SS2D, SSConvSSM
from medmamba_monai.selective_scan.inputs import ScanInputs


class FrozenScan(Rule):
    """A selective scan whose step sizes, B, C and gate are held constant."""

    def __init__(self, scan: SS2D, account: BiasAccount) -> None:
        super().__init__(scan, account)
        self.in_proj, self.conv = freeze(scan.in_proj, account), freeze(scan.conv, account)
        self.out_norm, self.out_proj = freeze(scan.out_norm, account), freeze(scan.out_proj, account)

    def forward(self, x: Tensor) -> Tensor:
        """Map streams (n * B, H, S) to (B, H, S); n is 1, or K for a stream that each direction reads."""
        u = self.read(x)
        y = self._scan(u.flatten(1, -2).unflatten(0, [-1, self.account.batch]), list(u.shape[1:-1]))
        with torch.no_grad():
            tokens = x[: self.account.batch].movedim(1, -1)
            gate = functional.silu(functional.linear(tokens, self.layer.gate_proj.weight))
        return self.out_proj(self.out_norm(y).view(gate.shape) * gate).movedim(-1, 1)

    def read(self, x: Tensor) -> Tensor:
        """Return the tokens that are scanned (B, S, C), of a map (B, H, S)."""
        return hold_silu(self.conv(self.in_proj(x.movedim(1, -1)).movedim(-1, 1))).movedim(1, -1)

    def _scan(self, u: Tensor, spatial_shape: list[int]) -> Tensor:
        """Scan tokens (n, B, L, C) to (B, L, C)."""
        inputs = read_scan(self.layer, u[0], spatial_shape)
        if len(u) > 1:
            return scan_apart(inputs, u, self.layer.scan_backend)
        return torch.ops.medmamba_monai.directional_scan(u[0], *inputs[1:7], self.layer.scan_backend)


class FrozenBlock(Rule):
    """A block whose branches are linear in what they read, each from a stream of its own where there are several."""

    def __init__(self, block: SSConvSSM, account: BiasAccount) -> None:
        super().__init__(block, account)
        self.scan_norm, self.conv_branch = freeze(block.scan_norm, account), freeze(block.conv_branch, account)
        self.ss2d = FrozenScan(block.ss2d, account)

    def forward(self, x: Tensor) -> Tensor:
        """Map streams (n * B, M, S) to (n * B, M, S)."""
        streams = x.unflatten(0, [-1, self.account.batch])
        of_convolution, of_scan = (streams, streams) if len(streams) == 1 else (streams[:1], streams[1:-1])
        near = of_convolution[0].chunk(2, dim=1)[0]
        far = self.scan_norm(of_scan.chunk(2, dim=2)[1].flatten(0, 1).movedim(1, -1)).movedim(-1, 1)
        branches = self.conv_branch(near), self.ss2d(far)
        return (streams + torch.stack(branches, dim=2).flatten(1, 2)).flatten(0, 1)


@torch.no_grad()
def read_scan(scan: Any, u: Tensor, spatial_shape: list[int]) -> ScanInputs:
    """Return what an ``SS2D`` makes of the tokens ``u`` (B, L, C) that it scans, all of it constant."""
    weight = scan.x_proj_weight
    projected = functional.linear(u, weight.flatten(0, 1)).unflatten(-1, weight.shape[:2])
    dt_weight, dt_bias, D = scan.dt_weight.detach(), scan.dt_bias.detach(), scan.D.detach()
    return ScanInputs(u.detach(), projected, dt_weight, dt_bias, -torch.exp(scan.A_log), D, spatial_shape)


def freeze(module: nn.Module, account: BiasAccount) -> nn.Module:
    """Return what computes the same as a module and is linear in its input around each input.

    The module and what is inside it stay as they are: parameters are shared and read when they are needed, hooks are
    left behind.

    Args:
        module: a MedMamba or a part of one.
        account: where biases are noted, for as many images as it was opened for.

    Raises:
        UserError: there is no rule for a layer.
    """
    if isinstance(module, SSConvSSM):
        return FrozenBlock(module, account)
    is_layer = not list(module.children())
    if is_layer and (rule_of_layer := find_rule(module)) is not None:
        return rule_of_layer(module, account)
    twin = copy.copy(module)
    for name, value in vars(module).items():
        if name.endswith(("_hooks", "_hooks_with_kwargs", "_hooks_always_called")) and isinstance(value, OrderedDict):
            vars(twin)[name] = OrderedDict()
    vars(twin)["_modules"] = {name: freeze(child, account) for name, child in module.named_children()}
    return twin
