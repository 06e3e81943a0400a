"""Makes the network known to MONAI: as ``monai.networks.nets.MedMamba`` and as the short ``"_target_": "MedMamba"``."""

from __future__ import annotations

from monai.bundle import ComponentLocator
from monai.networks import nets
from monai.utils import ensure_tuple

from medmamba_monai.networks.medmamba import MedMamba


def register_with_monai() -> None:
    """Register :class:`MedMamba` with MONAI; calling it again changes nothing.

    A ``MedMamba`` that MONAI itself brings is left in place, in both lookups.
    """
    if getattr(nets, MedMamba.__name__, MedMamba) is not MedMamba:
        return
    setattr(nets, MedMamba.__name__, MedMamba)
    # The short name is looked up in modules whose name starts with MOD_START, and str.startswith takes a tuple.
    starts = ensure_tuple(ComponentLocator.MOD_START)
    if MedMamba.__module__ not in starts:
        ComponentLocator.MOD_START = (*starts, MedMamba.__module__)  # type: ignore[assignment]
