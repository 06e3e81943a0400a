"""How far a backend's scan is from the reference in float64: output and every gradient, and special values.

The truth is the plain loop over tokens, ``reference``. Inputs look as in a new network: A = -(1..N), step sizes dt
between 0.001 and 0.1 at a zero projection. Two cases are harder:

- ``dt x 20``: step sizes 20 times as large, 0.02 to 2 at a zero projection.
- ``raw x 20``: weights and bias of the step size multiplied by 20 before the softplus. Step sizes then range from
  exp(-100) to about 40, and rounding a raw value of -40 to float32 alone moves its step size by 2e-6. No float32
  arithmetic can promise the bar there, so this case has none; the float32 ``reference`` beside it says what is usual.

The bars are for the fused backends. ``reference`` in float32 is there for comparison: its plain sums over many tokens
round more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.report import Bar, text_table
from medmamba_monai.core.errors import UserError
from medmamba_monai.selective_scan import BACKENDS, directional_scan
from medmamba_monai.selective_scan.backends import choose_backend

INPUTS = ("u", "projected", "dt_weight", "dt_bias", "A", "D")
OUTPUT_BAR, GRADIENT_BAR = 5e-7, 2e-6
SHAPES = ((1, 1), (7, 7), (14, 14), (28, 28), (56, 56), (112, 112))
CASES = ("dt x 1", "dt x 20", "raw x 20")
WITHOUT_BAR = "raw x 20"
FLUSHED = 1e-36
"""What denormal inputs may be off by, absolutely: they may be taken as zeros."""


class Shape(NamedTuple):
    """Sizes of a scan: batch B, spatial shape, channels C, state size N and rank R."""

    batch: int
    spatial: tuple[int, ...]
    channels: int
    state_size: int = 16
    rank: int = 3

    @property
    def length(self) -> int:
        """Tokens L of an image."""
        return math.prod(self.spatial)

    @property
    def updates(self) -> int:
        """State updates B * L * C * K * N of a scan."""
        return self.batch * self.length * self.channels * 2 * len(self.spatial) * self.state_size


def make_inputs(
    shape: Shape, case: str = "dt x 1", dtype: torch.dtype = torch.float32, device: str = "cpu", seed: int = 0
) -> list[Tensor]:
    """Draw u, projected, dt_weight, dt_bias, A and D for one of :data:`CASES`, leaves that require a gradient."""
    generator = torch.Generator().manual_seed(seed)
    directions = 2 * len(shape.spatial)
    step_scale, raw_scale = {"dt x 1": (1, 1), "dt x 20": (20, 1), "raw x 20": (1, 20)}[case]

    def uniform(*sizes: int) -> Tensor:
        return torch.rand(sizes, generator=generator, dtype=torch.float64)

    step = step_scale * torch.exp(math.log(1e-3) + uniform(directions, shape.channels) * math.log(100))
    tensors = [
        torch.randn(shape.batch, shape.length, shape.channels, generator=generator),
        torch.randn(shape.batch, shape.length, directions, shape.rank + 2 * shape.state_size, generator=generator),
        (2 * uniform(directions, shape.channels, shape.rank) - 1) * shape.rank**-0.5 * raw_scale,
        (step + torch.log(-torch.expm1(-step))) * raw_scale,
        -torch.arange(1.0, shape.state_size + 1).expand(directions, shape.channels, -1),
        torch.randn(directions, shape.channels, generator=generator),
    ]
    # Rounded to float32 first: float64 must start from the same numbers.
    return [tensor.float().to(device, dtype, copy=True).contiguous().requires_grad_() for tensor in tensors]


def backends_on(device: str) -> list[str]:
    """Names of the backends that compute in float32 on a device here."""
    names = []
    for name in BACKENDS:
        try:
            names.append(choose_backend(name, torch.device(device), torch.float32))
        except UserError:
            continue
    return names


def scan(inputs: Sequence[Tensor], spatial: Sequence[int], backend: str = "auto") -> Tensor:
    """Call the operator with inputs in the order of :func:`make_inputs`."""
    u, projected, dt_weight, dt_bias, A, D = inputs
    return directional_scan(u, projected, dt_weight, dt_bias, A, D, list(spatial), backend)


def relative_error(value: Tensor, truth: Tensor) -> float:
    """Return the norm of the difference over that of the truth, in float64; the difference itself for a zero truth."""
    value, truth = value.detach().double().cpu(), truth.detach().double().cpu()
    difference, size = (value - truth).norm(), truth.norm()
    return float(difference / size if size > 0 else difference)


def scan_and_gradients(inputs: Sequence[Tensor], spatial: Sequence[int], backend: str) -> list[Tensor]:
    """Return y and the six gradients of a fixed random projection of it."""
    y = scan(inputs, spatial, backend)
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y.device, y.dtype)
    return [y, *torch.autograd.grad((y * weight).sum(), list(inputs))]


def errors_of(backends: Sequence[str], shape: Shape, case: str, device: str = "cpu") -> list[dict[str, Any]]:
    """Compare backends with one truth; one entry for each, with the errors by name.

    ``met`` says whether the bars are met, None where there are none.
    """
    inputs = make_inputs(shape, case, device=device)
    exact = [tensor.detach().double().cpu().requires_grad_() for tensor in inputs]
    truth = scan_and_gradients(exact, shape.spatial, "reference")
    entries = []
    for backend in backends:
        values = scan_and_gradients(inputs, shape.spatial, backend)
        errors = [relative_error(value, true) for value, true in zip(values, truth, strict=True)]
        met = all(error <= bar for error, bar in zip(errors, [OUTPUT_BAR, *[GRADIENT_BAR] * 6], strict=True))
        has_bar = backend != "reference" and case != WITHOUT_BAR
        entry = {"backend": backend, "length": shape.length, "case": case, "met": met if has_bar else None}
        # JSON has no NaN; as a text it is seen, and it meets no bar.
        written = [error if math.isfinite(error) else str(error) for error in errors]
        entries.append(entry | {"errors": dict(zip(("y", *INPUTS), written, strict=True))})
    return entries


def special_values(backend: str, device: str = "cpu") -> list[Bar]:
    """Scan zeros, denormals, large values, NaN and infinity.

    The figure of the last two is the number of outputs that are finite in spite of NaN or infinity before them.
    """
    shape = Shape(2, (5, 7), 20)
    bars = []
    for name, factor in (("zeros", 0.0), ("denormals", 1e-40), ("large values", 1e18)):
        value, truth = _scanned(backend, shape, device, lambda u, by=factor: u.mul_(by))
        error = float((value - truth).abs().max()) if factor < 1 else relative_error(value, truth)
        kind = "largest error" if factor < 1 else "relative error"
        bars.append(Bar(f"{backend}: {name}, {kind}", error, FLUSHED if factor < 1 else OUTPUT_BAR))
    for name in ("nan", "inf", "-inf"):
        value, truth = _scanned(backend, shape, device, lambda u, what=name: u[1, 3].fill_(float(what)))
        finite_but_should_not = int((value.isfinite() & ~truth.isfinite()).sum())
        spoiled = int((value.isnan() & truth.isfinite()).sum())
        bars.append(Bar(f"{backend}: {name} in, outputs that hide or invent it", finite_but_should_not + spoiled, 0))
    return bars


def _scanned(backend: str, shape: Shape, device: str, change: Any) -> tuple[Tensor, Tensor]:
    """Return the outputs of a backend and of the reference in float64, after u was changed in place."""
    inputs = [tensor.detach() for tensor in make_inputs(shape, device=device)]
    change(inputs[0])
    exact = [tensor.double().cpu() for tensor in inputs]
    value = scan(inputs, shape.spatial, backend)
    return value.double().cpu(), scan(exact, shape.spatial, "reference")


def accuracy_table(entries: Sequence[dict[str, Any]]) -> str:
    """Write the entries of :func:`errors_of`."""
    titles = ["backend", "L", "case", "y", *(f"d {name}" for name in INPUTS), ""]
    rows = []
    for entry in entries:
        errors = [f"{float(error):.1e}" for error in entry["errors"].values()]
        verdict = {True: "met", False: "NOT MET", None: "no bar"}[entry["met"]]
        rows.append([entry["backend"], str(entry["length"]), entry["case"], *errors, verdict])
    limits = ["bar", "", "", f"{OUTPUT_BAR:.0e}", *[f"{GRADIENT_BAR:.0e}"] * len(INPUTS), ""]
    return text_table(titles, [*rows, limits])
