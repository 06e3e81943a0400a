"""Every scan backend by its name, and which one ``auto`` takes: the one file that interprets these names."""

from __future__ import annotations

import logging
from functools import cache

import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.selective_scan.backend import Backend
from medmamba_monai.selective_scan.chunked import TorchBackend
from medmamba_monai.selective_scan.mamba_ssm import MambaSsmBackend
from medmamba_monai.selective_scan.numba.backend import NumbaBackend
from medmamba_monai.selective_scan.reference import ReferenceBackend
from medmamba_monai.selective_scan.triton.backend import TritonBackend

logger = logging.getLogger(__name__)

BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        ReferenceBackend(),
        TorchBackend(),
        NumbaBackend(),
        TritonBackend(),
        MambaSsmBackend(),
    )
}
FASTEST_FIRST = tuple(sorted((n for n in BACKENDS if BACKENDS[n].speed), key=lambda n: -BACKENDS[n].speed))


def check_backend(name: str) -> str:
    """Return ``name`` if a backend is called so, without importing or choosing anything.

    Raises:
        UserError: for any name but ``auto`` and the backends.
    """
    if name != "auto" and name not in BACKENDS:
        raise UserError(f"scan backend {name!r} does not exist: choose one of auto, {', '.join(BACKENDS)}")
    return name


def available_backends() -> tuple[str, ...]:
    """Return the names of the backends whose packages import here, whatever devices there are."""
    return tuple(name for name, backend in BACKENDS.items() if backend.available())


@torch.compiler.assume_constant_result  # torch.compile must not trace imports and logging
def choose_backend(name: str, device: torch.device, dtype: torch.dtype) -> str:
    """Settle which backend computes a scan.

    ``auto`` takes the fastest backend that runs on the device: on CUDA triton, else mamba_ssm, and on CPU numba, where
    they import; else torch. It says once for each device and choice what it took (logging).

    Args:
        name: ``auto`` or a backend. A backend is taken as it is or refused, never replaced by another.
        device: where the tensors are.
        dtype: dtype of the scan, float32 or float64.

    Returns:
        A key of :data:`BACKENDS`.

    Raises:
        UserError: if the backend does not exist, is not installed, or cannot handle the device or the dtype.
    """
    if check_backend(name) == "auto":
        at_home = (b for b in FASTEST_FIRST if BACKENDS[b].device in (None, device.type))
        fastest = next(b for b in at_home if BACKENDS[b].find_objection(device, dtype) is None)
        return _announce(fastest, device.type, dtype)
    objection = BACKENDS[name].find_objection(device, dtype)
    if objection is not None:
        raise UserError(f"scan backend {name!r} {objection}. Choose another (auto, {', '.join(available_backends())})")
    return name


@cache
def _announce(name: str, device_type: str, dtype: torch.dtype) -> str:
    """Return ``name``; the first time also log it, and the fastest backend that would run here if it was installed."""
    faster_ones = [] if dtype == torch.float64 else FASTEST_FIRST[: FASTEST_FIRST.index(name)]
    missing = [b for b in faster_ones if BACKENDS[b].device == device_type and not BACKENDS[b].available()]
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
