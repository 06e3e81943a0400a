"""The networks that a search may try, in the order in which they are worth their time, and which of them it tries."""

from __future__ import annotations

from typing import Any, NamedTuple

from medmamba_monai.auto.fingerprint import Fingerprint, StartingWeights
from medmamba_monai.training.probes import Method

SMALL_MEDMAMBA = {"depths": [1, 1, 2, 1], "channels": [32, 64, 128, 256]}
MEDIUM_MEDMAMBA = {"depths": [1, 1, 2, 1], "channels": [64, 128, 256, 512]}


class Network(NamedTuple):
    """A network that may become a candidate.

    Attributes:
        name: of the candidate.
        options: of its training.
        reason: why it is tried.
        spatial_dims: the images that it takes.
        fewest_images: below which it is not worth its time.
        pretrained: whether it begins with the starting weights.
        probe: what learns from its features in place of a training; None for a training.
    """

    name: str
    options: dict[str, Any]
    reason: str
    spatial_dims: tuple[int, ...] = (2, 3)
    fewest_images: int = 0
    pretrained: bool = False
    probe: Method | None = None


NETWORKS_TO_TRY = (
    Network(
        "medmamba_small",
        {"network_name": "medmamba", **SMALL_MEDMAMBA, "learning_rate": 0.001},
        "A MedMamba of a million parameters: small enough to train often; on chest X-rays of 64 pixels no "
        "difference to ResNet-18, which has eleven times as many, was shown.",
    ),
    Network(
        "medmamba_small_fast",
        {"network_name": "medmamba", **SMALL_MEDMAMBA, "learning_rate": 0.003},
        "The same small MedMamba at three times the learning rate: with few epochs, larger steps may get further.",
    ),
    Network(
        "resnet18",
        {"network_name": "resnet18", "learning_rate": 0.001},
        "The network that everybody compares with; often hard to beat.",
    ),
    Network(
        "medmamba_medium",
        {"network_name": "medmamba", **MEDIUM_MEDMAMBA, "learning_rate": 0.001},
        "Twice the width of the small MedMamba, in case the small one cannot hold what there is to see.",
    ),
    Network(
        "densenet121",
        {"network_name": "densenet121", "learning_rate": 0.001},
        "Deep and thrifty with parameters; a usual choice for X-rays.",
    ),
    Network(
        "medmamba_tiny",
        {"network_name": "medmamba_tiny", "learning_rate": 0.0005},
        "The paper's MedMamba-T; half the learning rate, as it is larger.",
    ),
    Network(
        "medvit_tiny",
        {"network_name": "medvit_t", "learning_rate": 0.0005},
        "MedViT-T of the paper's tables, convolutions and attention in turns: attention has little built in, so it is "
        "tried where there are many images.",
        spatial_dims=(2,),
        fewest_images=2000,
    ),
)
"""In the order in which they are worth their time: a small budget takes the first ones."""

BASELINES = ("medmamba_small", "resnet18")
"""Networks that the winner is compared with under the paper's recipe, in this order."""


def choose_networks(seen: Fingerprint, number: int) -> list[Network]:
    """Return the first networks that were measured here and fit into the memory, and the probes, which cost little.

    Args:
        seen: the dataset.
        number: of networks that are trained.
    """
    measured = [one for one in list_networks(seen) if one.name in seen.speeds and one.name not in seen.too_large]
    trained = [network for network in measured if network.probe is None]
    return [*(network for network in measured if network.probe is not None), *trained[:number]]


def list_networks(seen: Fingerprint) -> list[Network]:
    """Return the networks that take such images and have enough of them to learn from; first what has begun already."""
    fitting = [network for network in NETWORKS_TO_TRY if seen.spatial_dims in network.spatial_dims]
    fresh = [network for network in fitting if seen.images >= network.fewest_images]
    return [*([] if seen.pretrained is None else list_started(seen.pretrained)), *fresh]


def list_started(weights: StartingWeights) -> list[Network]:
    """Return what is made of starting weights: two probes of their features, and a training that begins with them."""
    return [
        Network(
            "linear_probe",
            weights.options,
            "The starting weights as they are, and a linear classifier on their features: one look at each image in "
            "place of epochs, and a viable alternative to training (Doerrich et al., arXiv:2404.15786).",
            pretrained=True,
            probe="linear",
        ),
        Network(
            "nearest_neighbors",
            weights.options,
            "The same features, each image judged by those most like it: where this does well, the starting weights "
            "know such images already.",
            pretrained=True,
            probe="knn",
        ),
        Network(
            f"{weights.network}_pretrained",
            weights.options,
            "Trained on from the starting weights. Whether they help is for validation to say: on chest X-rays, none "
            "made without labels has shown a gain here.",
            pretrained=True,
        ),
    ]
