"""The polynomials in the kernels, and how they are found: ``python -m medmamba_monai.selective_scan.polynomials``.

Each is the polynomial of its degree whose largest relative error over an interval is smallest (minimax), found in
float64 by Remez' exchange: solve for the polynomial whose error has the same size and alternating signs at degree + 2
points, move the points to where that error is largest, and repeat. Its coefficients are then rounded to float32. The
kernels hold the rounded numbers, and a test compares them with what comes out here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

POINTS, ROUNDS = 400_000, 20
"""Points of the grid on which errors are measured, even so that it leaves out 0; rounds of the exchange."""

NEAR_ZERO = 1e-9
"""Where an interval begins at 0, and the function is written as 0 / 0 there."""

Function = Callable[[np.ndarray], np.ndarray]


class Fit(NamedTuple):
    """What a polynomial approximates.

    Attributes:
        function: the function, positive on the interval.
        low: where the interval begins.
        high: where it ends.
        degree: degree of the polynomial.
        exact_at_zero: whether its value at 0 has to be exactly 1.
    """

    function: Function
    low: float
    high: float
    degree: int
    exact_at_zero: bool = False

    def fit_coefficients(self) -> list[float]:
        """Return the coefficients, rounded to float32, the one of the highest power first."""
        if not self.exact_at_zero:
            found = exchange(self.function, lambda x: 1 / self.function(x), self.low, self.high, self.degree)
        else:  # 1 + x * q(x), where q approximates (function - 1) / x
            weight: Function = lambda x: abs(x) / self.function(x)  # noqa: E731
            quotient = exchange(lambda x: (self.function(x) - 1) / x, weight, self.low, self.high, self.degree - 1)
            found = np.append(quotient, 1.0)
        return [float(number) for number in found.astype(np.float32)]


def exchange(function: Function, weight: Function, low: float, high: float, degree: int) -> np.ndarray:
    """Find the polynomial with the smallest largest weighted error, in float64, the highest power first."""
    grid = np.linspace(low, high, POINTS)
    target, weights, powers = function(grid), weight(grid), np.arange(degree, -1, -1)
    signs = (-1.0) ** np.arange(degree + 2)
    spread = (1 - np.cos(np.pi * np.arange(degree + 2) / (degree + 1))) / 2
    chosen = np.round(spread * (POINTS - 1)).astype(int)
    for _ in range(ROUNDS):
        system = np.column_stack([grid[chosen, None] ** powers, signs / weights[chosen]])
        coefficients = np.linalg.solve(system, target[chosen])[:-1]
        error = (np.polyval(coefficients, grid) - target) * weights
        runs = np.split(np.arange(POINTS), np.flatnonzero(np.diff(np.sign(error))) + 1)
        chosen = np.array([run[np.argmax(abs(error[run]))] for run in runs])
        while len(chosen) > len(signs):
            chosen = chosen[1:] if abs(error[chosen[0]]) < abs(error[chosen[-1]]) else chosen[:-1]
    return coefficients


FITS: dict[str, Fit] = {
    "exp2": Fit(np.exp2, -0.5, 0.5, 5, exact_at_zero=True),
    "softplus": Fit(lambda e: np.log1p(e) / e, NEAR_ZERO, 1.0, 8),
    "slope": Fit(lambda step: -np.expm1(-step) / step, NEAR_ZERO, 1.0, 6),
}
"""2**x, log(1 + e) / e and (1 - exp(-step)) / step, where the kernels need them."""


def main() -> None:
    """Print the coefficients of every polynomial, the one of the highest power first."""
    for name, fit in FITS.items():
        print(f"{name}: {fit.fit_coefficients()}")


if __name__ == "__main__":
    main()
