r"""FiLM: a MedMamba whose stages are scaled and shifted by what is known of an image beside its pixels.

Feature-wise linear modulation (Perez et al., AAAI 2018): a small network turns a vector z of clinical records into a
scale and a shift for each channel c of each stage's map F, :math:`F_c' = (1 + \gamma_c(z)) F_c + \beta_c(z)`. Its last
layer begins with zeros, so that training begins with the MedMamba itself.
"""

from __future__ import annotations

from torch import Tensor, nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks.medmamba import MedMamba

HIDDEN = 64
"""Width of the network that encodes the records; they are few numbers, and images of a dataset with records are few."""


class FiLM(nn.Module):
    """A MedMamba that is given images and records.

    Args:
        network: the MedMamba.
        num_records: length of the encoded records.
        hidden: width of their encoding.

    Raises:
        UserError: the network is no MedMamba, or there are no records.

    Example:
        >>> import torch
        >>> from medmamba_monai.networks import MedMamba
        >>> network = FiLM(MedMamba(2, 1, 3, depths=(1, 1), channels=(8, 16)), num_records=5)
        >>> network(torch.zeros(4, 1, 32, 32), torch.zeros(4, 5)).shape
        torch.Size([4, 3])
    """

    def __init__(self, network: nn.Module, num_records: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        if not isinstance(network, MedMamba):
            raise UserError(
                f"recipe film: modulates the stages of a MedMamba, {type(network).__name__} has none; choose "
                "--network_name medmamba, or fuse the scores of this network with medmamba-monai fuse"
            )
        if num_records < 1:
            raise UserError(f"recipe film: needs clinical records, found {num_records}; declare them in the card")
        self.network = network
        widths = list(network.stage_channels)
        self.encoding = nn.Sequential(nn.Linear(num_records, hidden), nn.GELU())
        layers = [nn.Linear(hidden, 2 * width) for width in widths]
        for layer in layers:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.modulations = nn.ModuleList(layers)

    def forward(self, images: Tensor, records: Tensor) -> Tensor:
        """Compute logits.

        Args:
            images: (B, in_channels, *spatial), as the MedMamba takes them.
            records: (B, num_records), float, without missing values: what is missing has an indicator of its own.

        Returns:
            Logits (B, num_classes).
        """
        code = self.encoding(records)
        tokens = self.network.embed(images)
        for stage, layer in zip(self.network.stages, self.modulations, strict=True):
            tokens = stage.blocks(tokens)  # type: ignore[operator]
            tokens = stage.merging(modulate(tokens, layer(code)))  # type: ignore[operator]
        logits: Tensor = self.network.forward_head(tokens)
        return logits


def modulate(tokens: Tensor, factors: Tensor) -> Tensor:
    """Scale and shift each channel of maps.

    Args:
        tokens: (B, M, *spatial).
        factors: (B, 2 M), how much each scale differs from 1, then each shift.

    Returns:
        Maps of the shape of ``tokens``.
    """
    scale, shift = factors.reshape(*factors.shape, *[1] * (tokens.ndim - 2)).chunk(2, dim=1)
    return (1 + scale) * tokens + shift
