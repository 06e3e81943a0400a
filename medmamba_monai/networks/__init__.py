"""MedMamba, its sizes, official checkpoints in and out, and what makes it ready to go out."""

from medmamba_monai.networks.folding import fold_batch_norm
from medmamba_monai.networks.medmamba import MedMamba, medmamba_base, medmamba_small, medmamba_tiny
from medmamba_monai.networks.pretrained import architecture_of, load_official_checkpoint, to_official_state_dict

__all__ = [
    "MedMamba",
    "architecture_of",
    "fold_batch_norm",
    "load_official_checkpoint",
    "medmamba_base",
    "medmamba_small",
    "medmamba_tiny",
    "to_official_state_dict",
]
