"""MedMamba for MONAI; importing it registers the network with MONAI and loads nothing optional."""

from typing import TYPE_CHECKING, Any

import medmamba_monai.core.telemetry  # noqa: F401 - before MONAI, which imports MLflow
from medmamba_monai.networks import MedMamba, medmamba_base, medmamba_small, medmamba_tiny
from medmamba_monai.networks.monai import register_with_monai

__all__ = ["Bundle", "MedMamba", "medmamba_base", "medmamba_small", "medmamba_tiny"]
__version__ = "0.1.0"

if TYPE_CHECKING:
    from medmamba_monai.bundle.face import Bundle

register_with_monai()


def __getattr__(name: str) -> Any:
    """Load `Bundle` when it is asked for: what trains and evaluates takes longer to import than a network."""
    if name == "Bundle":
        from medmamba_monai.bundle.face import Bundle

        return Bundle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
