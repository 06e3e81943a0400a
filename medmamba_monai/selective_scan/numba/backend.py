"""The backend ``numba``: our kernels for the CPU."""

from __future__ import annotations

from torch import Tensor

from medmamba_monai.selective_scan.backend import Backend
from medmamba_monai.selective_scan.inputs import ScanInputs


class NumbaBackend(Backend):
    """SIMD kernels on all threads; importing them and compiling them waits for the first scan."""

    name, speed = "numba", 2
    modules, install = ("numba",), "pip install numba"
    device = "cpu"
    fused = True

    def forward(self, inputs: ScanInputs, save_states: bool) -> tuple[Tensor, Tensor]:
        """Run the forward kernel."""
        from medmamba_monai.selective_scan.numba import launch

        return launch.forward(inputs, save_states)

    def backward(self, grad_y: Tensor, states: Tensor, inputs: ScanInputs) -> tuple[Tensor, ...]:
        """Run the backward kernel from the saved states."""
        from medmamba_monai.selective_scan.numba import launch

        return launch.backward(grad_y, states, inputs)

    def states_shape(self, inputs: ScanInputs) -> list[int]:
        """Return (B, K, chunks, blocks, N, V)."""
        from medmamba_monai.selective_scan.numba import launch

        return launch.states_shape(inputs)
