"""Which implementations of the scan exist, which can run here, and which one ``auto`` takes."""

from __future__ import annotations

import importlib
import logging
import os
from functools import cache
from typing import NamedTuple

import torch

from medmamba_monai.core.errors import UserError

logger = logging.getLogger(__name__)


class Backend(NamedTuple):
    """What an implementation needs.

    Attributes:
        modules: it can run if one of these imports; empty if it needs nothing beside torch.
        install: the command that provides them.
        device: the device type its tensors must be on, None for any.
        float64: whether it computes in float64 when the inputs are.
        traceable: whether ``torch.compile`` may trace it.
        fused: whether it computes step sizes, recurrence and skip connection in one kernel of ours.
    """

    modules: tuple[str, ...] = ()
    install: str = ""
    device: str | None = None
    float64: bool = False
    traceable: bool = True
    fused: bool = False


BACKENDS = {
    "reference": Backend(float64=True),
    "torch": Backend(float64=True),
    "numba": Backend(("numba",), "pip install numba", device="cpu", fused=True),
    "triton": Backend(("triton",), "pip install triton", device="cuda", fused=True),
    "mamba_ssm": Backend(
        ("mamba_ssm.ops.selective_scan_interface", "selective_scan_cuda"),
        "pip install --no-build-isolation 'medmamba-monai[mamba]'",
        device="cuda",
        traceable=False,
    ),
}
UNIMPORTABLE = (ImportError, OSError, RuntimeError)
"""What importing a package with compiled parts raises where it was built for another machine."""
FASTEST_FIRST = ("triton", "mamba_ssm", "numba", "torch")


def check_backend(name: str) -> str:
    """Return ``name`` if a backend is called so, without importing or choosing anything.

    Raises:
        UserError: for any name but ``auto`` and the backends.
    """
    if name != "auto" and name not in BACKENDS:
        raise UserError(f"scan backend {name!r} does not exist: choose one of auto, {', '.join(BACKENDS)}")
    return name


def available_backends() -> tuple[str, ...]:
    """Names of the backends whose packages import here, whatever devices there are."""
    return tuple(name for name in BACKENDS if import_failure(name) is None)


@torch.compiler.assume_constant_result  # torch.compile must not trace imports and logging
def choose_backend(name: str, device: torch.device, dtype: torch.dtype) -> str:
    """Settle which backend computes a scan.

    ``auto`` takes the fastest backend that runs on the device: on CUDA triton, else mamba_ssm, and on CPU numba, where
    they import; else torch. It says once for each device and choice what it took (logging).

    Args:
        name: ``auto`` or a backend. A backend is taken as it is or refused, never replaced by another.
        device: where the tensors are.
        dtype: dtype of the scan, float32 or float64.

    Raises:
        UserError: if the backend does not exist, is not installed, or cannot handle the device or the dtype.
    """
    if check_backend(name) == "auto":
        at_home = (b for b in FASTEST_FIRST if BACKENDS[b].device in (None, device.type))
        return _announced(next(b for b in at_home if _objection(b, device, dtype) is None), device.type, dtype)
    objection = _objection(name, device, dtype)
    if objection is not None:
        raise UserError(f"scan backend {name!r} {objection}. Choose another (auto, {', '.join(available_backends())})")
    return name


def _objection(name: str, device: torch.device, dtype: torch.dtype) -> str | None:
    """Say why a backend cannot run, or None if it can."""
    backend = BACKENDS[name]
    if backend.device not in (None, device.type) and not _interpreted(name):
        return f"works on {backend.device} tensors, these are on {device.type}"
    if name == "triton" and device.type == "cuda" and (too_old := _unfit_gpu(device)):
        return too_old
    if dtype == torch.float64 and not backend.float64:
        return "computes in float32, these tensors are float64"
    if not backend.traceable and torch.compiler.is_compiling():
        return "cannot be traced by torch.compile"
    failure = import_failure(name)
    return None if failure is None else f"does not import ({failure}): install it with {backend.install}"


def _unfit_gpu(device: torch.device) -> str | None:
    """Say why a GPU is none that our kernels are written for; None if it is, or if there is none to ask."""
    if torch.version.hip is not None:
        return "is written for NVIDIA's GPUs, this PyTorch is built for AMD's"
    if not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability(device)
    return None if major >= 8 else f"needs a GPU of compute capability 8.0 or later, this one has {major}.{minor}"


def _interpreted(name: str) -> bool:
    """Say whether Triton's interpreter is on (for its kernels' developers), which computes on the CPU, slowly."""
    return name == "triton" and os.environ.get("TRITON_INTERPRET") == "1"


@cache
def import_failure(name: str) -> str | None:
    """Import what a backend needs, once. Return None if that worked, else the reason."""
    failures = []
    for module in BACKENDS[name].modules:
        try:
            importlib.import_module(module)
        except UNIMPORTABLE as error:
            failures.append(f"{module}: {error}")
        else:
            return None
    return "; ".join(failures) or None


@cache
def _announced(name: str, device_type: str, dtype: torch.dtype) -> str:
    """Return ``name``; the first time also log it, and the fastest backend that would run here if it was installed."""
    faster_ones = [] if dtype == torch.float64 else FASTEST_FIRST[: FASTEST_FIRST.index(name)]
    missing = [b for b in faster_ones if BACKENDS[b].device == device_type and import_failure(b) is not None]
    for faster in missing[:1]:
        logger.warning(
            "selective scan on %s: %s is not installed, using the slower %s backend (%s)",
            device_type,
            faster,
            name,
            BACKENDS[faster].install,
        )
    if not missing:
        logger.info("selective scan on %s: using the %s backend", device_type, name)
    return name
