"""MedMamba, its sizes, and official checkpoints in and out."""

from medmamba_monai.networks.medmamba import MedMamba, medmamba_base, medmamba_small, medmamba_tiny
from medmamba_monai.networks.pretrained import architecture_of, load_official_checkpoint, to_official_state_dict

__all__ = [
    "MedMamba",
    "architecture_of",
    "load_official_checkpoint",
    "medmamba_base",
    "medmamba_small",
    "medmamba_tiny",
    "to_official_state_dict",
]
