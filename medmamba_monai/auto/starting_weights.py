"""Starting weights of a search: which of the networks to try they fit, and what else they are of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from medmamba_monai.auto.fingerprint import StartingWeights
from medmamba_monai.auto.networks import NETWORKS_TO_TRY
from medmamba_monai.auto.rules import SIZES, choose_learning_rate
from medmamba_monai.bundle.metadata import NETWORK_CHANNELS
from medmamba_monai.cards import DatasetCard
from medmamba_monai.core.errors import UserError
from medmamba_monai.cross_validation.starting_weights import describe_starting_weights
from medmamba_monai.networks import NETWORKS, build_network, read_architecture
from medmamba_monai.training.pretrained.find import find_weights
from medmamba_monai.training.pretrained.fit import FittedWeights, fit_weights
from medmamba_monai.training.pretrained.weights_file import WeightsFile

OWN_NETWORK = "own_network"
"""Name of a network that is none of those to try, but that of the weights."""


def look_at_weights(source: str | Path, card: DatasetCard, num_folds: int) -> StartingWeights:
    """Find the network that weights fit: the first of those to try, or else their own.

    Args:
        source: what the option ``pretrained`` names.
        card: of the dataset that will be learnt.
        num_folds: how many folds there will be.

    Raises:
        UserError: there are no weights, they cannot be read, or fit no network that takes such images.
    """
    identity, file = describe_starting_weights(source, num_folds), WeightsFile(find_weights(source, 0))
    for network in NETWORKS_TO_TRY:
        if card.spatial_dims in network.spatial_dims:
            try:
                fitted = _fit(file, network.options, card)
            except UserError:
                continue
            return StartingWeights(identity=identity, network=network.name, options=network.options, notes=fitted.notes)
    options = _read_own_network(file)
    fitted = _fit(file, options, card)
    return StartingWeights(identity=identity, network=OWN_NETWORK, options=options, notes=fitted.notes)


def _fit(file: WeightsFile, options: Mapping[str, Any], card: DatasetCard) -> FittedWeights:
    sizes = {name: options[name] for name in ("depths", "channels") if name in options}
    side = SIZES[card.spatial_dims][0]
    with torch.random.fork_rng(devices=[]):
        network = build_network(
            options["network_name"], card.spatial_dims, NETWORK_CHANNELS, card.num_classes, side, **sizes
        )
    return fit_weights(file, network, card)


def _read_own_network(file: WeightsFile) -> dict[str, Any]:
    """Return the options of the network that weights are of, by their header or, of a MedMamba, by their shapes.

    Raises:
        UserError: neither tells.
    """
    rate = {"learning_rate": choose_learning_rate().value}
    name = file.description.get("network_name")
    if name in NETWORKS and name != "medmamba":
        return {"network_name": name, **rate}
    try:
        found = read_architecture(file.state)
    except UserError as error:
        tried = ", ".join(network.name for network in NETWORKS_TO_TRY)
        raise UserError(
            f"--pretrained {file.path}: fits none of the networks that a search tries ({tried}), and nothing says of "
            f"which network it is: as a MedMamba, {error}"
        ) from error
    return {"network_name": "medmamba", **{name: list(found[name]) for name in ("depths", "channels")}, **rate}
