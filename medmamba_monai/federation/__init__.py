"""Federated cross-validation: sites train one network by NVFlare, and no image leaves its site."""

from medmamba_monai.federation.kit import prepare_kit
from medmamba_monai.federation.phantom_sites import write_phantom_sites
from medmamba_monai.federation.simulate import simulate, write_job

__all__ = ["prepare_kit", "simulate", "write_job", "write_phantom_sites"]
