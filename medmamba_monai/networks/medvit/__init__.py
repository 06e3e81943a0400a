"""MedViT for images, its sizes, and the official checkpoints."""

from medmamba_monai.networks.medvit.network import SIZES, MedViT
from medmamba_monai.networks.medvit.weights import load_official_medvit

__all__ = ["SIZES", "MedViT", "load_official_medvit"]
