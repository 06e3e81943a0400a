"""The coefficients in the kernels are those that the script finds, and as close to the functions as the kernels say."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medmamba_monai.selective_scan import polynomials
from medmamba_monai.selective_scan.polynomials import FITS

ROOM = Path(polynomials.__file__).parent
KERNELS = {
    "exp2": ("numba/math.py", "_power_series"),
    "softplus": ("triton/forward.py", "step_size"),
    "slope": ("triton/backward.py", "_slope"),
}
ERRORS = {"exp2": 2e-7, "softplus": 1e-7, "slope": 2e-8}


def coefficients_in(file: str, function: str) -> list[float]:
    """Read the numbers of a Horner scheme, ``series = 0.1 * x - 0.2`` and so on, with their signs."""
    tree = ast.parse((ROOM / file).read_text(encoding="utf-8"))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    found: list[float] = []
    for step in body:
        value = getattr(step, "value", None)
        if isinstance(value, ast.BinOp) and isinstance(value.left, ast.BinOp) and isinstance(value.right, ast.Constant):
            if isinstance(value.left.left, ast.Constant):
                found.append(value.left.left.value)
            found.append(value.right.value if isinstance(value.op, ast.Add) else -value.right.value)
    return found


@pytest.mark.parametrize("name", FITS)
def test_the_kernels_hold_what_the_script_finds(name: str) -> None:
    assert coefficients_in(*KERNELS[name]) == FITS[name].fit_coefficients()


@pytest.mark.parametrize("name", FITS)
def test_the_rounded_polynomial_is_as_close_as_the_kernels_say(name: str) -> None:
    fit = FITS[name]
    x = np.linspace(fit.low, fit.high, 10_000)
    assert abs(np.polyval(fit.fit_coefficients(), x) / fit.function(x) - 1).max() < ERRORS[name]


def test_no_other_polynomial_of_the_degree_is_closer() -> None:
    x = np.linspace(0, 1, 10_001)
    error = np.polyval(polynomials.exchange(np.exp, np.ones_like, 0.0, 1.0, 3), x) - np.exp(x)
    largest = [abs(run).max() for run in np.split(error, np.flatnonzero(np.diff(np.sign(error))) + 1)]
    assert len(largest) == 5  # degree + 2 alternations of one size: Chebyshev's mark of the best
    np.testing.assert_allclose(largest, max(largest), rtol=1e-4)


def test_the_script_prints_them() -> None:
    printed = subprocess.run([sys.executable, polynomials.__file__], capture_output=True, text=True, check=True).stdout
    assert [line.split(":")[0] for line in printed.splitlines()] == list(FITS)
