"""MedMamba for MONAI; importing it registers the network with MONAI and loads nothing optional."""

from importlib.metadata import version

from medmamba_monai.networks import MedMamba, medmamba_base, medmamba_small, medmamba_tiny
from medmamba_monai.networks.monai import register_with_monai

__all__ = ["MedMamba", "medmamba_base", "medmamba_small", "medmamba_tiny"]
__version__ = version("medmamba-monai")

register_with_monai()
