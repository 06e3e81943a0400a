"""Change one thing in a training: a loss, a transform, a handler, each in a few lines.

Run it in any folder: ``python examples/change_one_thing.py``. The images are generated and the network is tiny, so that
it takes seconds; ``Bundle("pneumoniamnist")`` or a bundle of your own images work the same.
"""

from __future__ import annotations

import torch
from ignite.engine import Engine, Events
from monai.transforms import RandFlipd

from medmamba_monai import Bundle
from medmamba_monai.data import write_phantom

TINY = {"image_size": 32, "depths": [1, 1], "channels": [8, 16], "batch_size": 8, "learning_rate": 0.01, "epochs": 2}


class SquaredError(torch.nn.Module):
    """The Brier score as a loss: the squared distance of the probabilities from the true class."""

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean over a batch of logits (B, C) and labels (B,)."""
        truth = torch.nn.functional.one_hot(labels.long(), logits.shape[1])
        return (logits.softmax(1) - truth).square().sum(1).mean()


class LargestGradient:
    """A handler that prints the largest gradient of each epoch."""

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Print it."""
        largest = max(float(p.grad.abs().max()) for p in engine.network.parameters() if p.grad is not None)
        print(f"epoch {engine.state.epoch}: largest gradient {largest:.4f}")


images = write_phantom("phantom_images", num_train=40, num_test=20, image_size=32)
bundle = Bundle("phantom", tracking_uri="", **TINY)
bundle.prepare(dataset_dir=images, num_folds=2, allow_count_mismatch=True)

# What stands in the bundle's configs/train.json, by its name there, is replaced by an object of yours.
changes = {
    "as it is": {},
    "another loss": {"loss": SquaredError()},
    "one more transform": {"train#augmentation": RandFlipd("image", prob=0.5, spatial_axis=1)},
    "one more handler": {"train#more_handlers": [LargestGradient()]},
}
for title, overrides in changes.items():
    print(f"\n{title}")
    trained = bundle.train(fold=0, overrides=overrides, run_name=title)
    print(f"AUC on the validation part {trained.best_metric:.3f}, in epoch {trained.best_epoch}")
