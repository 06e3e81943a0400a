"""A network as an `Execution` runs it: under autocast, in inference mode, compiled, as a CUDA graph."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import torch
from monai.data import MetaTensor
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from medmamba_monai.core.errors import UserError, get_first_line
from medmamba_monai.training.cuda_graphs import Step, record
from medmamba_monai.training.execution import Execution
from medmamba_monai.training.handlers.epoch_progress import format_seconds

logger = logging.getLogger("medmamba_monai.training")


class ExecutedStep(nn.Module):
    """A network under autocast whose output is float32, so that a loss needs no autocast of its own.

    Args:
        network: the network; its parameters and mode are its own.
        execution: how it computes.
    """

    def __init__(self, network: nn.Module, execution: Execution) -> None:
        super().__init__()
        self.network = network
        self.device_type = execution.device.type
        self.dtype = execution.dtype

    def forward(self, images: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Map (B, C, *spatial) to the network's output in float32.

        Each weight is used once, so that the cache of autocast saves nothing; a captured graph must not use it.
        """
        if self.dtype is None:
            wide: Tensor = self.network(images, *args, **kwargs)
            return wide
        with torch.autocast(self.device_type, dtype=self.dtype, cache_enabled=False):
            output: Tensor = self.network(images, *args, **kwargs)
        return output.float()


class NetworkRunner:
    """What an inferer calls in a network's place.

    The first batch settles the shape that is compiled or recorded; a batch of another shape, such as a smaller last
    one, goes through the network as it is. So does one whose gradients are added to those that are there, since a
    graph writes its own into the same memory.

    Args:
        network: the network.
        execution: how it computes.
        record: makes a graph of a network and a batch.
    """

    def __init__(
        self,
        network: nn.Module,
        execution: Execution,
        record: Callable[[nn.Module, Tensor], Step] = record,
    ) -> None:
        self.step = ExecutedStep(network, execution)
        self.execution = execution
        self._record = record
        self._fast: Step | None = None
        self._fixed: tuple[Any, ...] | None = None
        self._weights: list[Tensor] = []
        self._places: list[int] = []
        self._warned = False

    def __call__(self, images: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the network's output for a batch (B, C, *spatial)."""
        images = images.as_tensor() if isinstance(images, MetaTensor) else images
        if torch.is_grad_enabled():
            return self._run(images, *args, **kwargs)
        with torch.inference_mode():
            output = self._run(images, *args, **kwargs)
        return output.clone()  # a tensor like any other, which may be changed

    def _run(self, images: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        fast = None if args or kwargs else self._choose(images)
        if fast is None:
            output: Tensor = self.step(images, *args, **kwargs)
            return output
        if self.execution.graphs and self.execution.compiles:
            torch.compiler.cudagraph_mark_step_begin()
        return fast(images).clone() if self.execution.graphs else fast(images)

    def _choose(self, images: Tensor) -> Step | None:
        """Return what is fast for this batch, made now if it is the first; None for the network as it is."""
        if not (self.execution.graphs or self.execution.compiles):
            return None
        kind = images.shape, images.dtype, images.device, self.step.network.training
        if self._fixed is None:
            self._fixed = kind
            self._make(images)
        if kind != self._fixed or self._fast is None or self._adds_gradients():
            return None
        if not self.execution.compiles and self._places != self._find_places():
            self._make(images)
        return self._fast

    def _make(self, images: Tensor) -> None:
        weights = [*self.step.parameters(), *self.step.buffers()]
        self._weights = [tensor for tensor in weights if tensor.is_floating_point()]
        self._fast = self._compile() if self.execution.compiles else self._record_graph(images)
        self._places = self._find_places()

    def _record_graph(self, images: Tensor) -> Step | None:
        began = time.perf_counter()
        try:
            graph = self._record(ExecutedStep(self.step.network, self.execution), images)
        except RuntimeError as error:  # what cannot be recorded, a mismatch, memory that is short
            logger.warning(f"no CUDA graph, each kernel is launched on its own: {get_first_line(error)}")
            return None
        pass_ = "training" if self.step.network.training else "inference"
        logger.info(f"CUDA graph for {pass_} recorded in {format_seconds(time.perf_counter() - began)}")
        return graph

    def _compile(self) -> Step:
        mode = "reduce-overhead" if self.execution.graphs else None
        compiled: Step = torch.compile(self.step, mode=mode, dynamic=False)

        def run_first(images: Tensor) -> Tensor:
            logger.info("torch.compile compiles the network now, which can take minutes")
            began = time.perf_counter()
            try:
                output = compiled(images)
            except TorchDynamoException as error:
                raise UserError(f"--compile True: {get_first_line(error)}; use --compile False") from error
            logger.info(f"torch.compile took {format_seconds(time.perf_counter() - began)}")
            self._fast = compiled
            return output

        return run_first

    def _adds_gradients(self) -> bool:
        if not (self.execution.graphs and torch.is_grad_enabled()):
            return False
        adds = any(weight.grad is not None for weight in self._weights)
        if adds and not self._warned:
            self._warned = True
            logger.warning("gradients are added up over batches; these are launched without CUDA graphs")
        return adds

    def _find_places(self) -> list[int]:
        """Return where in memory the weights and statistics are; graphs read them there."""
        return [weight.data_ptr() for weight in self._weights]
