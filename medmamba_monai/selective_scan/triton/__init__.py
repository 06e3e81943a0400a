"""The fused scan on a GPU, as Triton kernels."""
