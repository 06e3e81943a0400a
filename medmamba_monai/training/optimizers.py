"""Groups of parameters for an optimizer: which decay and which do not."""

from __future__ import annotations

from typing import Any

from torch import nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.training.weights import unwrap


def group_parameters(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Group the parameters of any network for an optimizer, so that biases and norms do not decay.

    Args:
        network: a network, wrapped for distributed training or not; one that has a method of this name, as `MedMamba`,
            is asked itself. Of others, parameters with at most one axis (biases, norms, scales) do not decay.
        weight_decay: weight decay of all other parameters, at least 0.

    Returns:
        Two groups with the keys ``params`` and ``weight_decay``, as ``torch.optim`` takes them.

    Raises:
        UserError: the weight decay is no number from 0.
    """
    if not (type(weight_decay) in (int, float) and weight_decay >= 0):
        raise UserError(f"weight decay {weight_decay!r}: give a number from 0")
    target = unwrap(network)
    own: Any = getattr(target, "parameter_groups", None)
    if own is not None:
        return list(own(weight_decay))
    parameters = list(target.parameters())
    return [
        {"params": [item for item in parameters if item.ndim > 1], "weight_decay": weight_decay},
        {"params": [item for item in parameters if item.ndim <= 1], "weight_decay": 0.0},
    ]
