"""The fused scan on the CPU, as Numba kernels."""
