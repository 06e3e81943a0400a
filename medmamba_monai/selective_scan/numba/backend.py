"""The backend ``numba``: our kernels for the CPU."""

from __future__ import annotations

from medmamba_monai.selective_scan.kernel_backend import KernelBackend


class NumbaBackend(KernelBackend):
    """SIMD kernels on all threads; importing them and compiling them waits for the first scan."""

    name, speed = "numba", 2
    modules, install = ("numba",), "pip install numba"
    device = "cpu"
    half = writes_half = True
