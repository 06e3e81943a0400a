"""MedMamba for MONAI: importing it takes no time, and the network is among MONAI's as soon as MONAI is imported."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import medmamba_monai.core.telemetry  # noqa: F401 - before MONAI, which imports MLflow
from medmamba_monai.core.after_import import call_after_import

__all__ = ["Bundle", "MedMamba", "medmamba_base", "medmamba_small", "medmamba_tiny"]
__version__ = "0.1.0"

if TYPE_CHECKING:
    from medmamba_monai.bundle.face import Bundle
    from medmamba_monai.networks import MedMamba, medmamba_base, medmamba_small, medmamba_tiny

_ROOMS = {"Bundle": "medmamba_monai.bundle.face"}
_NETWORKS = "medmamba_monai.networks"

call_after_import("monai", lambda: import_module(_NETWORKS))  # which registers them


def __getattr__(name: str) -> Any:
    """Load what is asked for: PyTorch and MONAI take seconds to import, and `medmamba-monai --help` needs neither."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOMS.get(name, _NETWORKS)), name)
