"""What biases carry of a logit, image by image."""

from __future__ import annotations

import torch
from torch import Tensor


class BiasAccount:
    """The sum of every bias times its gradient, for each image of a batch.

    A layer that adds a constant shift to its output says so with :meth:`note`. During the backward pass the gradient
    of that output meets the shift, and nothing else of the layer, so the sum is found without the relevance map and
    can be held against it.
    """

    def __init__(self) -> None:
        self._shares: list[Tensor] = []
        self.batch = 0

    def open(self, batch: int) -> None:
        """Begin a new account for ``batch`` images."""
        self._shares, self.batch = [], batch

    def note(self, output: Tensor, shift: Tensor | None, channel_axis: int) -> Tensor:
        """Remember that ``output`` contains ``shift``.

        Args:
            output: (streams * B, ...) of a layer, images within streams.
            shift: (channels,) that the layer added everywhere; None for nothing.
            channel_axis: axis of the channels in ``output``.

        Returns:
            ``output``.
        """
        if shift is not None and output.requires_grad:
            shift = shift.detach()
            output.register_hook(lambda grad: self._add(grad.movedim(channel_axis, -1), shift))
        return output

    def _add(self, grad: Tensor, shift: Tensor) -> None:
        of_images = (grad @ shift).reshape(len(grad), -1).sum(1, dtype=torch.float64)
        self._shares.append(of_images.unflatten(0, [-1, self.batch]).sum(0))

    def close(self) -> Tensor:
        """Return the sum over all noted shifts (B,), float64, once the backward pass is done."""
        return torch.stack(self._shares).sum(0)
