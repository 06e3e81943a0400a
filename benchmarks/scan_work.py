"""The work of a scan, counted: bytes that it must move and exponentials that it must compute."""

from __future__ import annotations

from benchmarks.accuracy import Shape


def scan_bytes(shape: Shape, training: bool) -> int:
    """Bytes that a scan must move if it reads its inputs and writes its results once, float32.

    Training is forward and backward: the backward pass reads the inputs and the gradient of y again and writes
    gradients of the inputs' sizes. States that a backend saves between the two are its own choice and do not count.
    """
    directions, tokens = 2 * len(shape.spatial), shape.batch * shape.length
    maps = tokens * shape.channels
    projected = tokens * directions * (shape.rank + 2 * shape.state_size)
    parameters = directions * shape.channels * (shape.rank + shape.state_size + 2)
    forward = 2 * maps + projected + parameters
    backward = 3 * maps + 2 * projected + 2 * parameters
    return 4 * (forward + backward if training else forward)


def scan_exponentials(shape: Shape, training: bool) -> int:
    """Exponentials that a scan must compute: one a state update, and one a step size for the softplus.

    Training is forward and backward, and the backward pass recomputes them once.
    """
    steps = shape.updates // shape.state_size
    return (2 if training else 1) * (shape.updates + steps)
