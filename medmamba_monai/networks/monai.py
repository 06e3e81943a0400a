"""MedMamba among MONAI's networks: ``monai.networks.nets.MedMamba``, ``"_target_": "MedMamba"``, and backbones."""

from __future__ import annotations

from monai.bundle import ComponentLocator
from monai.networks import nets
from monai.networks.nets.flexible_unet import FLEXUNET_BACKBONE
from monai.utils import ensure_tuple

from medmamba_monai.networks.encoder import MedMambaEncoder
from medmamba_monai.networks.medmamba import MedMamba


def register_with_monai() -> None:
    """Register :class:`MedMamba` and its encoders with MONAI; calling it again changes nothing.

    A ``MedMamba`` or a backbone of the same name that MONAI itself brings is left in place.
    """
    if FLEXUNET_BACKBONE.register_dict.keys().isdisjoint(MedMambaEncoder.get_encoder_names()):
        FLEXUNET_BACKBONE.register_class(MedMambaEncoder)
    if getattr(nets, MedMamba.__name__, MedMamba) is not MedMamba:
        return
    setattr(nets, MedMamba.__name__, MedMamba)
    # The short name is looked up in modules whose name starts with MOD_START, and str.startswith takes a tuple.
    starts = ensure_tuple(ComponentLocator.MOD_START)
    if MedMamba.__module__ not in starts:
        ComponentLocator.MOD_START = (*starts, MedMamba.__module__)  # type: ignore[assignment]
