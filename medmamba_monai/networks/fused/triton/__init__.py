"""What a block repeats, as Triton kernels: the neighbours of the scan on a GPU."""
