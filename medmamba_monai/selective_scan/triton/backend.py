"""The backend ``triton``: our kernels for NVIDIA's GPUs."""

from __future__ import annotations

import os

import torch

from medmamba_monai.selective_scan.kernel_backend import KernelBackend

OLDEST_CAPABILITY = 8
"""Major compute capability of the oldest GPU that the kernels are written for, an A100's."""


class TritonBackend(KernelBackend):
    """Triton kernels; with ``TRITON_INTERPRET=1``, for their developers, also on the CPU and slowly."""

    name, speed = "triton", 4
    modules, install = ("triton",), "pip install triton"
    device = "cuda"
    half = True

    def find_device_objection(self, device: torch.device) -> str | None:
        """Say why the kernels cannot run on a device, or None if they can or if there is no GPU to ask."""
        if device.type != self.device:
            return None if os.environ.get("TRITON_INTERPRET") == "1" else super().find_device_objection(device)
        if torch.version.hip is not None:
            return "is written for NVIDIA's GPUs, this PyTorch is built for AMD's"
        if not torch.cuda.is_available():
            return None
        major, minor = torch.cuda.get_device_capability(device)
        if major >= OLDEST_CAPABILITY:
            return None
        return f"needs a GPU of compute capability {OLDEST_CAPABILITY}.0 or later, this one has {major}.{minor}"
