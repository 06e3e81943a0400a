"""Batch norm statistics of the weights as they are, computed before a network is validated."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.engines import Trainer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from medmamba_monai.training.execution import Execution
from medmamba_monai.training.weights import unwrap

NUM_IMAGES = 200
"""Images that statistics are computed of, at least."""

Inputs = tuple[Tensor, tuple[Any, ...], dict[str, Any]]
"""What a network is given: images (B, C, *spatial), and further arguments."""


class PreciseBatchNorm:
    """Replace the running averages of batch norms by the statistics of the last training images, before a validation.

    Running averages are of weights that have changed since, and with drop path and dropout: after few steps they may
    be far from what the layers of the trained network see, and validation then judges a worse network than was
    trained. Here the last images of the epoch, as they were augmented, go through the network once more with its
    present weights, as in a validation except that batch norms normalize by their batch. Mean and variance of all
    these images together become the statistics (Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021, section 3).
    PyTorch's `update_bn` would keep drop path and dropout, load images once more, and leave out what differs between
    batches.

    What is trained does not change: the same weights result, to the bit, as without. Nothing is drawn at random and no
    image is loaded; the last batches are kept as the trainer gave them to its network, on its device: as many as hold
    ``num_images``, or the epoch, if that has fewer. Where images are 224 pixels wide with three channels, 200 of them
    take 115 MiB. In a distributed training all processes end with the statistics of the images of all, each having the
    same number of them.

    Attach it to the trainer before `ValidationHandler`. A network without batch norms is left alone.

    Args:
        network: that is validated, wrapped for distributed training or not; an average of the trained one, if there is.
        interval: epochs from one validation to the next; the last epoch counts as validated, too.
        execution: how the network computes; by default in float32.
        num_images: that are kept at least, in each process.
        enabled: False attaches it to nothing.
    """

    def __init__(
        self,
        network: nn.Module,
        interval: int = 1,
        execution: Execution | None = None,
        num_images: int = NUM_IMAGES,
        enabled: bool = True,
    ) -> None:
        self.network = unwrap(network)
        self.enabled = enabled
        self.interval = interval
        self.num_images = num_images
        self.execution = Execution() if execution is None else execution
        self._kept: deque[Inputs] = deque()
        self._keeps = False
        self._prepare: Any = None
        self.logger = logging.getLogger("medmamba_monai.training")

    def attach(self, engine: Trainer) -> None:
        """Attach to a trainer, whose prepared batches are looked at from then on."""
        if not self.enabled:
            return
        if not _list_norms(self.network):
            self.logger.info("the network has no batch norm, whose statistics could be made precise")
            return
        self._prepare, engine.prepare_batch = engine.prepare_batch, self._prepare_and_keep
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Set the statistics, if the epoch that ends is to be validated."""
        if self._kept:
            self._compute()
            self._kept.clear()

    def _begin(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        self._keeps = epoch % self.interval == 0 or epoch == engine.state.max_epochs
        self._kept.clear()

    def _prepare_and_keep(self, *given: Any, **options: Any) -> Any:
        prepared = self._prepare(*given, **options)
        if self._keeps:
            args, kwargs = prepared[2:] or ((), {})
            self._kept.append((prepared[0], args, kwargs))
            while self._count() - len(self._kept[0][0]) >= self.num_images:
                self._kept.popleft()
        return prepared

    def _count(self) -> int:
        return sum(len(images) for images, _, _ in self._kept)

    def _run(self, images: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the network as it is: its graphs and compiled forms are of the training, or of the validation."""
        images = images.as_tensor() if isinstance(images, MetaTensor) else images
        dtype = self.execution.dtype
        with torch.autocast(self.execution.device.type, dtype, enabled=dtype is not None, cache_enabled=False):
            self.network(images, *args, **kwargs)

    @torch.no_grad()
    def _compute(self) -> None:
        norms = _list_norms(self.network)
        seen, mean, variance = 0, *(torch.zeros_like(values) for values in _read(norms))
        with _count_one_batch(self.network, norms):
            for images, args, kwargs in self._kept:
                self._run(images, *args, **kwargs)
                seen += len(images)
                share = len(images) / seen
                of_batch, variance_of_batch = _read(norms)
                difference = of_batch - mean
                mean += share * difference
                variance += share * (variance_of_batch - variance) + share * (1 - share) * difference.square()
        _write(norms, *_average_over_processes(mean, variance))


def _list_norms(network: nn.Module) -> list[Any]:
    """Return the batch norms of a network that keep statistics."""
    return [part for part in network.modules() if isinstance(part, _BatchNorm) and part.running_mean is not None]


@contextmanager
def _count_one_batch(network: nn.Module, norms: list[Any]) -> Iterator[None]:
    """Have a network run as in a validation, but its batch norms as in training, their statistics those of one batch.

    After the block, modes and momenta are what they were, and so is the number of batches that norms have counted.
    """
    modes = [(part, part.training) for part in network.modules()]
    before = [(norm, norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    network.eval()
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = 1.0
    try:
        yield
    finally:
        for norm, momentum, batches in before:
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(batches)
        for part, mode in modes:
            part.training = mode


def _read(norms: list[Any]) -> tuple[Tensor, Tensor]:
    """Return copies of the means and the variances of all norms, one after the other."""
    return torch.cat([norm.running_mean for norm in norms]), torch.cat([norm.running_var for norm in norms])


def _write(norms: list[Any], mean: Tensor, variance: Tensor) -> None:
    """Set the statistics where they are, as recorded graphs read them there."""
    sizes = [norm.num_features for norm in norms]
    for norm, its_mean, its_variance in zip(norms, mean.split(sizes), variance.split(sizes), strict=True):
        norm.running_mean.copy_(its_mean)
        norm.running_var.copy_(its_variance)


def _average_over_processes(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Return the statistics of the images of all processes, each of which has as many."""
    processes = idist.get_world_size()
    if processes == 1:
        return mean, variance
    of_all = _sum(mean) / processes
    return of_all, _sum(variance + (mean - of_all).square()) / processes


def _sum(values: Tensor) -> Tensor:
    total = idist.all_reduce(values.clone())
    return total if isinstance(total, Tensor) else torch.as_tensor(total)
