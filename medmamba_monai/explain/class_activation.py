"""Grad-CAM and Grad-CAM++, MONAI's, at the resolution of the images."""

from __future__ import annotations

import torch
from monai.visualize import GradCAM, GradCAMpp
from torch import Tensor, nn
from torch.nn import functional

from medmamba_monai.core.errors import UserError
from medmamba_monai.explain.on_copy import MethodOnCopy
from medmamba_monai.networks.grad_cam import list_cam_layers
from medmamba_monai.networks.medmamba import MedMamba

WITHOUT_MAPS = frozenset({"ViT", "SwinForImageClassification"})
"""Names of networks whose layers hand on tokens: behind their patches there is no map with the channels first."""


class ClassActivation(MethodOnCopy):
    """Where the channels of a network's last map speak for a class: Grad-CAM (Selvaraju et al. 2017).

    The map is MONAI's, enlarged linearly, before MONAI's scaling, which turns it round.

    Args:
        network: see `MethodOnCopy`; one that `has_maps`.

    Raises:
        UserError: the network has no maps.
    """

    kind: type[GradCAM] = GradCAM

    def __init__(self, network: nn.Module) -> None:
        if not has_maps(network):
            raise UserError(
                f"{self.kind.__name__} needs a map with the channels first, and this network hands on tokens: choose "
                "another method, such as occlusion"
            )
        super().__init__(network)
        self._cams: dict[torch.Size, GradCAM] = {}

    def draw(self, images: Tensor, class_index: int) -> Tensor:
        """Draw maps of images for a class, see `MethodOnCopy`."""
        if images.shape[1:] not in self._cams:
            self._cams[images.shape[1:]] = self.kind(self.network, find_last_map(self.network, images[:1]))
        cam, mode = self._cams[images.shape[1:]], "trilinear" if images.ndim == 5 else "bilinear"
        # One at a time: MONAI's Grad-CAM++ multiplies the scores of a batch with a wrong axis of the gradients.
        coarse = torch.cat([cam.compute_map(image[None].requires_grad_(), class_index).detach() for image in images])
        return functional.interpolate(coarse, images.shape[2:], mode=mode, align_corners=False)[:, 0]


class ClassActivationPlusPlus(ClassActivation):
    """Grad-CAM++ (Chattopadhay et al. 2018), see `ClassActivation`."""

    kind = GradCAMpp


def has_maps(network: nn.Module) -> bool:
    """Say whether the layers of a network hand on maps with the channels first, up to its head."""
    return WITHOUT_MAPS.isdisjoint(type(module).__name__ for module in network.modules())


@torch.no_grad()
def find_last_map(network: nn.Module, image: Tensor) -> str:
    """Return the name of the layer that is the last to hand on a map of several positions, channels first.

    Args:
        network: in evaluation mode.
        image: (1, C, *spatial).

    Raises:
        UserError: it has none for an image of this size.
    """
    is_medmamba = any(isinstance(module, MedMamba) for module in network.modules())
    names = list_cam_layers(network) if is_medmamba else [name for name, _ in network.named_modules() if name]
    found: list[str] = []

    def look(name: str, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == image.ndim and output[0, 0].numel() > 1:
            found.append(name)

    handles = [
        network.get_submodule(name).register_forward_hook(lambda _, __, output, name=name: look(name, output))
        for name in names
    ]
    try:
        network(image)
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise UserError(
            f"Grad-CAM: no map of several positions is left of images of the shape {list(image.shape[1:])}: give "
            "larger images, or choose another method"
        )
    return found[-1]
