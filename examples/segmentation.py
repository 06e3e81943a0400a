"""Segmentation: a MedMamba encoder in MONAI's FlexibleUNet, on generated images (``python examples/segmentation.py``).

Bright discs on a noisy background are to be outlined. It takes half a minute on one CPU core. For a task of your own,
take ``backbone="medmamba_tiny"`` and load a classifier's weights with ``load_encoder_weights``.
"""

from __future__ import annotations

import numpy as np
import torch
from monai.data import create_test_image_2d
from monai.losses import DiceCELoss
from monai.metrics import DiceMetric
from monai.networks.nets import FlexibleUNet
from monai.utils import set_determinism

from medmamba_monai.networks import register_encoder


def make_images(count: int, size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Generate noisy images (count, 1, size, size) of discs and their masks of the same shape."""
    random = np.random.RandomState(seed)
    pairs = [
        create_test_image_2d(
            size, size, num_objs=6, rad_max=size // 5, noise_max=0.5, num_seg_classes=1, random_state=random
        )
        for _ in range(count)
    ]
    images, masks = (torch.from_numpy(np.stack(arrays)).float()[:, None] for arrays in zip(*pairs, strict=True))
    return images, masks


def train(network: torch.nn.Module, images: torch.Tensor, masks: torch.Tensor, steps: int, batch_size: int) -> None:
    """Train on random batches, with Adam and the sum of Dice loss and cross-entropy."""
    loss_function = DiceCELoss(to_onehot_y=True, softmax=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    network.train()
    for step in range(steps):
        batch = torch.randint(len(images), (batch_size,))
        loss = loss_function(network(images[batch]), masks[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            print(f"step {step:3d}: loss {loss.item():.3f}", flush=True)


@torch.no_grad()
def measure_dice(network: torch.nn.Module, images: torch.Tensor, masks: torch.Tensor) -> float:
    """Return the mean Dice of the foreground over images that the network has not seen."""
    metric = DiceMetric(include_background=False)
    network.eval()
    metric(network(images).argmax(1, keepdim=True), masks)
    return metric.aggregate().item()


def main(steps: int = 80, size: int = 64) -> float:
    """Train on 64 images, print and return the Dice on 16 others."""
    set_determinism(0)
    register_encoder("medmamba_small_example", depths=(1, 1, 1, 1), channels=(16, 32, 64, 128))
    network = FlexibleUNet(
        in_channels=1,
        out_channels=2,
        backbone="medmamba_small_example",
        decoder_channels=(64, 32, 16, 16, 8),
    )
    train(network, *make_images(64, size, seed=1), steps=steps, batch_size=8)
    dice = measure_dice(network, *make_images(16, size, seed=2))
    print(f"Dice of the discs: {dice:.3f}")
    return dice


if __name__ == "__main__":
    main()
