"""How many floating-point operations a scan takes, for ``torch.utils.flop_counter.FlopCounterMode``.

For each image, token, direction and channel, with rank R of the step size and N states, every multiplication, addition
and exponential counts one:

- forward, 2 R + 7 N + 6: the step size (2 R, its bias, its softplus); delta * A, exp, its product with the state, input
  times B, their sum, and the product with C and its sum for each state; delta * u, D * u and its sum, and the sum over
  directions;
- backward, 6 R + 20 N + 10: the states once more (5 N), the gradients of state, A, B, C, delta (15 N); the step size
  once more and both its gradients (6 R); the rest for u, D and the bias.

Backends that PyTorch differentiates by itself (``reference``, ``mamba_ssm``) and exportable networks are no operator of
ours: the counter sees their parts, and counts matrix products alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula

from medmamba_monai.selective_scan import kernel_operators  # noqa: F401 (defines the operators that are counted)


@register_flop_formula(torch.ops.medmamba_monai.directional_scan_forward)
def count_forward(u: Sequence[int], projected: Any, dt_weight: Any, dt_bias: Any, A: Any, *_: Any, **__: Any) -> int:
    """Return the operations of a scan, of the shapes of its arguments."""
    return _count_channels(u, A) * (2 * dt_weight[2] + 7 * A[2] + 6)


@register_flop_formula(torch.ops.medmamba_monai.directional_scan_backward)
def count_backward(
    grad_y: Any, states: Any, u: Sequence[int], projected: Any, dt_weight: Any, dt_bias: Any, A: Any, *_: Any, **__: Any
) -> int:
    """Return the operations of a scan's gradient, of the shapes of its arguments."""
    return _count_channels(u, A) * (6 * dt_weight[2] + 20 * A[2] + 10)


def _count_channels(u: Sequence[int], A: Sequence[int]) -> int:
    """Return the number of channels that are scanned, over all images, tokens and directions."""
    batch, length, channels = u
    return batch * length * channels * A[0]
