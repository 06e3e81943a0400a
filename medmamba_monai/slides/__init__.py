"""Slides as bags of tiles: features of a trained network, stored once, and what is learnt from them."""

from medmamba_monai.slides.attention import show_attention
from medmamba_monai.slides.bags import BagDataset, EmbedSlided, ReadBagd
from medmamba_monai.slides.bundle_features import BundleFeatures
from medmamba_monai.slides.embed import embed_slides

__all__ = ["BagDataset", "BundleFeatures", "EmbedSlided", "ReadBagd", "embed_slides", "show_attention"]
