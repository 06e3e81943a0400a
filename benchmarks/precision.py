"""Loss curves of float32 and bfloat16: do they lie within the spread of seeds?

``python -m benchmarks.precision`` trains a MedMamba on noisy images of two classes, several seeds in each precision.
It prints the mean loss of each part of the training, how far the two precisions are apart, and how far the seeds of
float32 are. It ends with an error where a loss is not finite, or the precisions are further apart than the seeds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from medmamba_monai import MedMamba
from medmamba_monai.training import Execution, NetworkInferer, resolve_device
from medmamba_monai.training.precision import Precision

BATCH, SIZE, PARTS = 8, 32, 5


def make_batch(device: torch.device) -> tuple[Tensor, Tensor]:
    """Draw noisy images (B, 1, 32, 32) whose upper half tells their class, and the classes (B,)."""
    labels = torch.randint(2, (BATCH,))
    images = torch.randn(BATCH, 1, SIZE, SIZE)
    images[:, :, : SIZE // 2] += 0.3 * labels[:, None, None, None]
    return images.to(device), labels.to(device)


def train(precision: Precision, seed: int, steps: int, device: torch.device, scan_backend: str = "auto") -> Tensor:
    """Train from a seed and return the loss of each step (steps,)."""
    torch.manual_seed(seed)
    network = MedMamba(
        2, 1, 2, depths=(1, 1), channels=(16, 32), patch_size=4, drop_path_rate=0.1, scan_backend=scan_backend
    ).to(device)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    infer = NetworkInferer(Execution(device, precision))
    losses = []
    for _ in range(steps):
        images, labels = make_batch(device)
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(infer(images, network), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach().cpu())
    return torch.stack(losses)


def compare_curves(wide: Tensor, narrow: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compare curves (seeds, steps) of two precisions, part by part of the training.

    Returns:
        The mean loss of each part in the wide precision, the distance of the means of both, and the spread of the wide
        one's seeds: from the lowest to the highest.
    """
    parts = [torch.stack([part.mean(1) for part in curves.chunk(PARTS, dim=1)]) for curves in (wide, narrow)]
    distance = (parts[0].mean(1) - parts[1].mean(1)).abs()
    return parts[0].mean(1), distance, parts[0].amax(1) - parts[0].amin(1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scan_backend", default="auto")
    given = parser.parse_args(arguments)
    device = resolve_device(given.device)
    curves: list[Tensor] = []
    precisions: tuple[Precision, ...] = (False, "bfloat16")
    for precision in precisions:
        runs = [train(precision, seed, given.steps, device, given.scan_backend) for seed in range(given.seeds)]
        curves.append(torch.stack(runs))
    finite = all(bool(torch.isfinite(each).all()) for each in curves)
    mean, distance, spread = compare_curves(*curves)
    print("part  loss    bfloat16 - float32  spread of seeds")
    for number, (loss, apart, seeds) in enumerate(zip(mean, distance, spread, strict=True), 1):
        print(f"{number}     {loss:.4f}  {apart:.4f}              {seeds:.4f}")
    within = finite and bool((distance <= spread).all())
    print(f"{given.seeds * given.steps} steps in each precision on {device}: {'within' if within else 'NOT within'}")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
