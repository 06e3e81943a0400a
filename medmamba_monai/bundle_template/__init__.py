"""The one source of every bundle."""

from medmamba_monai.bundle_template.generate import generate_bundle

__all__ = ["generate_bundle"]
