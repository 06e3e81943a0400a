"""MedMamba, its sizes, official checkpoints in and out, and the networks that it is compared with."""

from medmamba_monai.networks.attention_mil import BAG_NETWORKS, AttentionMIL, build_bag_network
from medmamba_monai.networks.encoder import MedMambaEncoder, load_encoder_weights, register_encoder
from medmamba_monai.networks.fuse_batch_norm import fold_batch_norm
from medmamba_monai.networks.grad_cam import list_cam_layers, make_grad_cam
from medmamba_monai.networks.medmamba import MedMamba, medmamba_base, medmamba_small, medmamba_tiny
from medmamba_monai.networks.medvit import MedViT, load_official_medvit
from medmamba_monai.networks.monai import register_with_monai
from medmamba_monai.networks.official_weights import load_official_checkpoint, read_architecture, to_official_state_dict
from medmamba_monai.networks.registry import NETWORKS, build_network

__all__ = [
    "BAG_NETWORKS",
    "NETWORKS",
    "AttentionMIL",
    "MedMamba",
    "MedMambaEncoder",
    "MedViT",
    "build_bag_network",
    "build_network",
    "fold_batch_norm",
    "list_cam_layers",
    "load_encoder_weights",
    "load_official_checkpoint",
    "load_official_medvit",
    "make_grad_cam",
    "medmamba_base",
    "medmamba_small",
    "medmamba_tiny",
    "read_architecture",
    "register_encoder",
    "to_official_state_dict",
]

register_with_monai()
