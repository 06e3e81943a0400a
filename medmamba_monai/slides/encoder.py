"""What makes features of tiles and patches: a trained network without its head, or an encoder of transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.images import ConvertImage
from medmamba_monai.networks import MedMamba, build_network, read_architecture
from medmamba_monai.networks.baselines import BASELINES
from medmamba_monai.networks.head_features import compute_with_features, find_head
from medmamba_monai.networks.transformers_encoder import load_encoder
from medmamba_monai.training.pretrained.find import find_weights
from medmamba_monai.training.pretrained.weights_file import WeightsFile

_CHANNELS = 3


class TileEncoder:
    """A frozen network that makes a vector of each tile or patch.

    Attributes:
        title: of the network, for readers.
        identity: class and SHA-256 of its weights.
        file: its weights; None of an encoder of transformers, which is known by its name.

    Args:
        encode: from images (B, 3, *spatial) from -1 to 1 on the device to features (B, F).
        title: see above.
        identity: see above.
        device: where it computes.
        file: see above.
    """

    def __init__(
        self,
        encode: Callable[[Tensor], Tensor],
        title: str,
        identity: str,
        device: torch.device,
        file: WeightsFile | None = None,
    ) -> None:
        self.title, self.identity, self.file = title, identity, file
        self._encode, self._device = encode, device
        self._convert = ConvertImage(_CHANNELS)

    def __call__(self, tiles: np.ndarray) -> np.ndarray:
        """Compute features.

        Args:
            tiles: uint8 (B, H, W, 3), or gray patches (B, x, y, z, 1), whose channel is repeated.

        Returns:
            float32 (B, F).

        Raises:
            UserError: the network does not take tiles of this size, or its features are not finite.
        """
        images = torch.from_numpy(np.ascontiguousarray(np.moveaxis(tiles, -1, 1))).to(self._device)
        with torch.inference_mode():
            converted = self._convert.repeat_channels(self._convert.scale(images))
            features = self._encode(converted).float().cpu().numpy()
        if not np.isfinite(features).all():
            raise UserError(
                f"{self.title}: its features are not finite; the weights are damaged, or are of no trained network"
            )
        return np.asarray(features)


def load_tile_encoder(
    pretrained: str | Path | None,
    encoder: str | None,
    network_name: str | None,
    device: torch.device,
    spatial_dims: int = 2,
) -> TileEncoder:
    """Load what makes features.

    Args:
        pretrained: a file of weights, or the folder of a run, of whose folds the first is taken.
        encoder: instead, the name of an encoder of transformers, see `load_encoder`.
        network_name: network of the weights; None for the one that their header names, else a MedMamba.
        device: where it is to compute.
        spatial_dims: 2 for tiles of slides, 3 for patches of volumes.

    Raises:
        UserError: neither or both are given, or the weights are of no network that takes such images.
    """
    if (pretrained is None) == (encoder is None):
        raise UserError("--pretrained: name the weights that make features of tiles; or instead of them an --encoder")
    if encoder is not None and spatial_dims != 2:
        raise UserError(f"--encoder {encoder}: takes images, and these are volumes; use --pretrained")
    if encoder is not None:
        model = load_encoder(encoder).to(device)
        return TileEncoder(model, encoder, model.identity, device)
    file = WeightsFile(find_weights(str(pretrained), 0))
    name = network_name or file.description.get("network_name", "medmamba")
    build = _build_baseline if name in BASELINES else _build_medmamba
    encode, title = build(file, name, device, spatial_dims)
    return TileEncoder(encode, title, f"{title} sha256:{file.digest}", device, file)


def _build_medmamba(
    file: WeightsFile, name: str, device: torch.device, spatial_dims: int
) -> tuple[Callable[[Tensor], Tensor], str]:
    found = read_architecture(file.state)
    if (found["spatial_dims"], found["in_channels"]) != (spatial_dims, _CHANNELS):
        raise UserError(
            f"--pretrained {file.path}: is of a network for {found['spatial_dims']} dimensions and "
            f"{found['in_channels']} channels; needed is one for {spatial_dims} dimensions and {_CHANNELS} channels"
        )
    network = MedMamba(**{**found, "num_classes": 0})  # without a head it returns the mean token
    network.load_state_dict({key: value for key, value in file.state.items() if not key.startswith("head.")})
    return network.eval().to(device), "MedMamba"


def _build_baseline(
    file: WeightsFile, name: str, device: torch.device, spatial_dims: int
) -> tuple[Callable[[Tensor], Tensor], str]:
    described: dict[str, Any] = file.description
    if file.class_names is None or "image_size" not in described:
        raise UserError(f"--pretrained {file.path}: does not say its classes and its image size; give weights of a run")
    num_classes = len(file.class_names)
    network: nn.Module = build_network(name, spatial_dims, _CHANNELS, num_classes, described["image_size"])
    try:
        network.load_state_dict(file.state)
    except RuntimeError as error:
        raise UserError(
            f"--pretrained {file.path}: holds no weights of {name}; choose another --network-name"
        ) from error
    network.eval().to(device)
    head = find_head(network, num_classes)
    return lambda images: compute_with_features(network, head, images)[1], BASELINES[name].title
