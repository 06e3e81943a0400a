"""The one source of every bundle."""

from medmamba_monai.bundle.build import generate_bundle

__all__ = ["generate_bundle"]
