"""CUDA graphs of a network: all kernels of a batch recorded once, and launched at once from then on.

PyTorch records (`torch.cuda.make_graphed_callables` forwards and backwards, `torch.cuda.CUDAGraph` forwards alone). A
recording runs the network some times first, so that what those runs change is put back. A graph reads weights and
buffers where they were: they may change their values, but not their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

Step = Callable[[Tensor], Tensor]

WARM_UPS = 3
TOLERANCE = 0.02
"""Largest difference between graph and network, relative to the largest output or 1: several steps of bfloat16."""


class GraphMismatch(RuntimeError):
    """A graph gives other results than its network."""


def record(step: nn.Module, images: Tensor) -> Step:
    """Record a network as a CUDA graph and compare one run of it with the network.

    Args:
        step: the network, in training or evaluation mode. With gradients enabled its backward pass is recorded, too.
        images: a batch like those that will follow, (B, C, *spatial) on a GPU.

    Returns:
        What maps further batches of this shape to outputs, which the next call overwrites.

    Raises:
        RuntimeError: something in the network cannot be recorded, or memory is short.
        GraphMismatch: the graph gives other results than the network.
    """
    with torch.cuda.device(images.device), torch.cuda.stream(torch.cuda.current_stream(images.device)):
        with keep_state(step, images.device):
            expected = _run_without_gradient(step, images)
        with keep_state(step, images.device):
            graph = _record_both_passes(step, images) if torch.is_grad_enabled() else InferenceGraph(step, images)
        with keep_state(step, images.device):
            compare(expected, _run_without_gradient(graph, images))
    return graph


def _run_without_gradient(step: Step, images: Tensor) -> Tensor:
    if torch.is_inference_mode_enabled():
        return step(images).clone()
    with torch.no_grad():
        return step(images).clone()


def _record_both_passes(step: nn.Module, images: Tensor) -> Step:
    sample = (images.clone(),)
    graphed = torch.cuda.make_graphed_callables(step, sample, num_warmup_iters=WARM_UPS, allow_unused_input=True)
    return cast(Step, graphed)


class InferenceGraph:
    """A network's forward pass as one launch.

    Args:
        step: the network.
        images: a batch of the shape to record, on a GPU.
    """

    def __init__(self, step: nn.Module, images: Tensor) -> None:
        self.step = step  # holds the weights that the graph reads
        self.images = images.clone()
        aside = torch.cuda.Stream(images.device)
        aside.wait_stream(torch.cuda.current_stream(images.device))
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                step(self.images)
        torch.cuda.current_stream(images.device).wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = step(self.images)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the output for a batch; the next call overwrites it."""
        self.images.copy_(images)
        self.graph.replay()
        return self.output


def compare(expected: Tensor, found: Tensor) -> None:
    """Compare outputs.

    Raises:
        GraphMismatch: they differ by more than :data:`TOLERANCE`.
    """
    scale = expected.float().abs().nan_to_num(0, 0, 0).max().clamp_min(1)
    difference = (expected - found).float().abs().nan_to_num(0, 0, 0).max()
    same_holes = torch.equal(torch.isfinite(expected), torch.isfinite(found))
    if not same_holes or bool(difference > TOLERANCE * scale):
        raise GraphMismatch(f"the CUDA graph differs from the network by {difference:.3g}, of {scale:.3g}")


@contextmanager
def keep_state(step: nn.Module, device: torch.device) -> Iterator[None]:
    """Put back after the block what running a network changes: buffers, such as batch statistics, and generators."""
    buffers = [(buffer, buffer.clone()) for buffer in step.buffers()]
    on_gpu = device.type == "cuda"
    generators = torch.get_rng_state(), torch.cuda.get_rng_state(device) if on_gpu else None
    try:
        yield
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
        torch.set_rng_state(generators[0])
        if generators[1] is not None:
            torch.cuda.set_rng_state(generators[1], device)
