"""Every method that explains a network's decision, by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from medmamba_monai.explain.class_activation import ClassActivation, ClassActivationPlusPlus, has_maps
from medmamba_monai.explain.floors import EdgeMap, RandomMap
from medmamba_monai.explain.gradients import IntegratedGradients, SmoothedGradients
from medmamba_monai.explain.occlusion import Occlusion
from medmamba_monai.explain.relevance import PositiveRelevance, ScanRelevance
from medmamba_monai.networks.medmamba import MedMamba


class Method(Protocol):
    """What explains images with a network in evaluation mode, and leaves the network as it was."""

    def __call__(self, images: Tensor, class_index: int | Tensor) -> Tensor:
        """Return a map for each image.

        Args:
            images: ``(B, channels, *spatial)``, float.
            class_index: the class to explain, or one for each image, int64 (B,).

        Returns:
            ``(B, *spatial)``, float32, at the resolution of the images; positive speaks for the class.
        """
        ...


class Explanation(NamedTuple):
    """A method of :data:`EXPLANATIONS`.

    Attributes:
        title: as people read it.
        make: makes the method from a network in evaluation mode.
        can_explain: says whether it takes a network.
        signed: whether its maps also say what speaks against a class.
    """

    title: str
    make: Callable[[nn.Module], Method]
    can_explain: Callable[[nn.Module], bool]
    signed: bool


def has_scans_and_classes(network: nn.Module) -> bool:
    """Say whether a network is a MedMamba that classifies."""
    return isinstance(network, MedMamba) and network.num_classes > 0


def takes_any(network: nn.Module) -> bool:
    """Say that a method takes any network."""
    return True


EXPLANATIONS: dict[str, Explanation] = {
    "scan_relevance": Explanation("Scan relevance", ScanRelevance, has_scans_and_classes, True),
    "positive_relevance": Explanation("Scan relevance, positive", PositiveRelevance, has_scans_and_classes, False),
    "grad_cam": Explanation("Grad-CAM", ClassActivation, has_maps, False),
    "grad_cam_plus_plus": Explanation("Grad-CAM++", ClassActivationPlusPlus, has_maps, False),
    "occlusion": Explanation("Occlusion", Occlusion, takes_any, True),
    "integrated_gradients": Explanation("Integrated gradients", IntegratedGradients, takes_any, True),
    "smooth_gradients": Explanation("SmoothGrad", SmoothedGradients, takes_any, False),
    "random": Explanation("Random (floor)", RandomMap, takes_any, False),
    "edges": Explanation("Edges (floor)", EdgeMap, takes_any, False),
}
"""Every method by its name."""
