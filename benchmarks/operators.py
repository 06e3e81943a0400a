"""How many operators of a step reach a kernel: ``python -m benchmarks.operators``. It needs no GPU.

PyTorch starts at least one kernel on a GPU for each operator that is no view and does not only reserve memory, and at
small batches the step waits for these starts. A dispatch mode on the CPU sees each such operator of an eager step of
MedMamba-T: forward, backward, an optimizer that treats all parameters at once (``foreach``, PyTorch's default on a
GPU), and inference; under bfloat16 autocast too. The counts do not depend on the size of images or batch, as long as
the last map has more than one token: images of 64 pixels are enough.

An operator of ours counts once, as a custom operator is called once. What runs inside is counted beside it: Triton
kernels and the operators around them, or the operations of PyTorch where there is no kernel (batch norm with ReLU).
Launches are both without what is counted twice: all operators of others and what runs inside ours. A GPU starts more
kernels than that, since some operators take several (batch norms, gradients of convolutions, sums, ``foreach`` with
many tensors), and autocast has other lists of operators there than on a CPU.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.report import Bar, add_common_options, bar_table, new_result, save_result, text_table
from medmamba_monai.core.errors import ends_with_user_errors
from medmamba_monai.networks import medmamba_tiny
from medmamba_monai.networks.fused import operators as fused
from medmamba_monai.selective_scan.inputs import ScanInputs

BARS = {"float32": 450, "bfloat16": 550}
"""Most operators of a training step, by the dtype of autocast."""
COLUMNS = ("operators", "casts", "inside", "launches")
SIZE = 64
NO_KERNEL = (
    "empty",
    "new_empty",
    "detach",
    "alias",
    "lift_fresh",
    "_unsafe_view",
    "_reshape_alias",
    "_local_scalar",
    "promote_types",
)
SCAN_LAUNCH = "medmamba_monai.selective_scan.triton.launch"
OURS = "medmamba_monai"


class CountOperators(TorchDispatchMode):
    """Counts the operators that reach a kernel while it is entered.

    Attributes:
        found: how often each operator was called, by its name.
        inside: how many operators and kernels ran inside those of ours.
        casts: how many of ``found`` only change a dtype.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.inside = self.casts = 0

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call an operator and count it."""
        if reaches_kernel(operator):
            self.found[operator.name()] += 1
            self.casts += changes_dtype(operator, args, kwargs or {})
            self.inside += count_inside(operator, args)
        return operator(*args, **(kwargs or {}))

    @property
    def entry(self) -> dict[str, Any]:
        """The counts as JSON."""
        ordered = dict(sorted(self.found.items(), key=lambda item: (-item[1], item[0])))
        launches = self.inside + sum(count for name, count in ordered.items() if not name.startswith(f"{OURS}::"))
        counts = {"operators": self.found.total(), "casts": self.casts, "inside": self.inside, "launches": launches}
        return {**counts, "by_name": ordered}


def reaches_kernel(operator: Any) -> bool:
    """Say whether an operator is more than a view of memory, or a claim to it."""
    namespace, name = operator.name().split("::")
    return not operator.is_view and namespace != "profiler" and not name.startswith(NO_KERNEL)


def changes_dtype(operator: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Say whether an operator copies into another dtype."""
    name = operator.name().split("::")[1].split(".")[0]
    if name == "_to_copy":
        return kwargs.get("dtype", args[0].dtype) != args[0].dtype
    if name == "copy_":
        return args[0].dtype != args[1].dtype
    return name == "_foreach_copy_" and any(to.dtype != of.dtype for to, of in zip(args[0], args[1], strict=True))


def count_inside(operator: Any, args: Sequence[Any]) -> int:
    """Count what runs inside an operator of ours, 0 for any other."""
    namespace, name = operator.name().split("::")
    if namespace != OURS:
        return 0
    of_scan = name.startswith("directional_scan_")
    args = [copy_if_tensor(argument) for argument in args]
    with CountOperators() as counter, counted_kernels(SCAN_LAUNCH if of_scan else fused.LAUNCH) as kernels:
        if of_scan:
            _run_scan(kernels.module, name, args)
        else:
            run = getattr(kernels.module, name, None) or getattr(fused, name)
            run(*args)
    return counter.found.total() + kernels.started


def copy_if_tensor(value: Any) -> Any:
    """Copy a tensor, so that a second run does not change it; return anything else as it is."""
    return value.clone() if isinstance(value, Tensor) else value


def _run_scan(launch: Any, name: str, args: Sequence[Any]) -> None:
    """Call what stands around the kernels of a scan."""
    if name == "directional_scan_forward":
        inputs, save_states = ScanInputs(*args[:7], *args[9:]), args[8]
        launch.forward(inputs, save_states)
    else:
        inputs = ScanInputs(*args[2:9], *args[10:])
        grad_y = args[0]
        states = grad_y.new_empty(launch.states_shape(inputs))
        launch.backward(grad_y, states, inputs)


class CountedKernels:
    """A module that launches kernels, and how many it has started."""

    def __init__(self, module: str) -> None:
        self.module, self.started = importlib.import_module(module), 0

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        """Stand for a kernel on a grid."""
        self.started += 1
        return lambda *args, **kwargs: None


@contextmanager
def counted_kernels(module: str) -> Iterator[CountedKernels]:
    """Have a module count its kernels instead of starting them."""
    from triton.runtime import KernelInterface

    counted = CountedKernels(module)
    originals = {name: value for name, value in vars(counted.module).items() if isinstance(value, KernelInterface)}
    try:
        vars(counted.module).update(dict.fromkeys(originals, counted))
        yield counted
    finally:
        vars(counted.module).update(originals)


def count_step(dtype: str, size: int = SIZE, build: Callable[[], nn.Module] | None = None) -> dict[str, Any]:
    """Count the operators of a training step, part by part, and of an inference.

    Args:
        dtype: a key of :data:`BARS`; other than float32 it is that of autocast.
        size: edge of the images, pixels.
        build: makes the network, by default MedMamba-T.
    """
    torch.manual_seed(0)
    network = build() if build else medmamba_tiny(num_classes=6)
    optimizer = torch.optim.Adam(network.parameters(), foreach=True)
    images, labels = torch.randn(2, 3, size, size), torch.tensor([0, 1])
    autocast = torch.autocast("cpu", getattr(torch, dtype), enabled=dtype != "float32")

    def step(counters: Sequence[CountOperators]) -> None:
        with counters[0], autocast:
            loss = functional.cross_entropy(network(images), labels)
        with counters[1]:
            loss.backward()
        with counters[2]:
            optimizer.step()
            optimizer.zero_grad()

    for _ in range(2):  # the first step makes the state of the optimizer
        counters = [CountOperators() for _ in range(3)]
        step(counters)
    network.eval()
    with (
        torch.no_grad(),
        CountOperators() as inference,
        autocast,
    ):  # inference mode would hide what operators are made of
        network(images)
    parts = dict(zip(("forward", "backward", "optimizer"), (counter.entry for counter in counters), strict=True))
    total = {key: sum(part[key] for part in parts.values()) for key in COLUMNS}
    return {**parts, "training": total, "inference": inference.entry}


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Count, print and write the result; 1 if there are more operators than the bars allow."""
    parser = argparse.ArgumentParser("python -m benchmarks.operators", description=__doc__)
    add_common_options(parser)
    options = parser.parse_args(arguments)
    result = new_result("operators", {"size": SIZE, "network": "medmamba_tiny"})
    result["counts"] = {dtype: count_step(dtype) for dtype in BARS}
    bars = [
        Bar(f"operators of a training step, {dtype}", counts["training"]["operators"], BARS[dtype])
        for dtype, counts in result["counts"].items()
    ]
    result["bars"] = [bar.entry() for bar in bars]
    print(count_table(result["counts"]), bar_table(result["bars"]), sep="\n\n")
    save_result(result, options.json)
    return 0 if all(bar.met for bar in bars) else 1


def count_table(counts: dict[str, dict[str, Any]]) -> str:
    """Write the counts of each part."""
    rows = [
        [f"{part}, {dtype}", *(str(found[key]) for key in COLUMNS)]
        for dtype, parts in counts.items()
        for part, found in parts.items()
    ]
    return text_table(["part", "operators", "of them casts", "inside ours", "launches"], rows)


if __name__ == "__main__":
    sys.exit(main())
