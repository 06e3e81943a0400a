"""What must hold before and during training: options make sense, the device is there, the loss is a number."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import check_cache


class TrainingDiverged(UserError):
    """The loss or a weight is no longer a finite number."""


SMALLEST = {"epochs": 1, "batch_size": 1, "image_size": 1, "val_interval": 1, "patience": 0, "num_workers": 0}
"""Whole numbers among the options, and the smallest value of each."""

LARGEST = {"learning_rate": math.inf, "weight_decay": math.inf, "drop_path_rate": 1.0}
"""Numbers from 0 among the options, and the largest value of each."""

MAY_BE_NONE = ("drop_path_rate", "weight_decay")
"""Options that may be None, which leaves the choice to the network or the recipe."""


def check_options(options: Mapping[str, Any]) -> None:
    """Check the numbers that a user gives to a bundle, before anything is built from them.

    Args:
        options: values by name; only ``cache`` and those that `SMALLEST` and `LARGEST` name are checked.

    Raises:
        UserError: a value is no number, no whole number or out of its range.
    """
    if "cache" in options:
        check_cache(options["cache"])
    for name, value in options.items():
        if value is None and name in MAY_BE_NONE:
            continue
        if name in SMALLEST and not (type(value) is int and value >= SMALLEST[name]):
            raise UserError(f"--{name} {value!r}: give a whole number from {SMALLEST[name]}")
        if name in LARGEST and not (type(value) in (int, float) and 0 <= value <= LARGEST[name]):
            limit = f" to {LARGEST[name]:g}" if math.isfinite(LARGEST[name]) else ""
            raise UserError(f"--{name} {value!r}: give a number from 0{limit}")


def resolve_device(device: str | torch.device = "auto", amp: bool = False) -> torch.device:
    """The device to run on.

    Args:
        device: ``auto`` (the current CUDA device, else the CPU) or anything that `torch.device` reads. In a
            distributed run started by torchrun, ``auto`` and ``cuda`` are the GPU of the local rank.
        amp: whether mixed precision is asked for, which MONAI's engines leave out without a GPU.

    Raises:
        UserError: it names no device, or one that is not there, or cannot do what is asked for.
    """
    if str(device) == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise UserError(f"--device {device!r} is not a device; use auto, cpu, cuda or cuda:0") from error
    if resolved.type == "cuda":
        count = torch.cuda.device_count()
        if not torch.cuda.is_available() or (resolved.index or 0) >= count:
            raise UserError(
                f"--device {device} was asked for, but torch {torch.__version__} sees "
                f"{count} CUDA devices here; use --device cpu, or install a CUDA build of torch"
            )
    if amp and resolved.type != "cuda":
        raise UserError(f"--amp True needs a GPU, the device is {resolved}; use --amp False")
    return resolved


class FiniteLoss:
    """Stop before the optimizer step when the loss is NaN or infinite.

    The weights are still those of the last good step, and the last checkpoint is untouched. Attach it to the trainer.

    Args:
        id_key: key of the batch that holds the samples' ids, named in the message.
    """

    def __init__(self, id_key: str = "id") -> None:
        self.id_key = id_key
        self.logger = logging.getLogger("medmamba_monai.training")

    def attach(self, engine: Engine) -> None:
        """Attach to a `SupervisedTrainer`."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Check the loss of this iteration."""
        state: Any = engine.state
        loss = state.output[CommonKeys.LOSS]
        if torch.isfinite(loss):
            return
        in_epoch = (state.iteration - 1) % (state.epoch_length or state.iteration) + 1
        raise TrainingDiverged(
            f"the loss is {loss.item()} in epoch {state.epoch}, batch {in_epoch} (samples "
            f"{self._samples(state.batch)}). The last good checkpoint is kept. Look at these images, or "
            "lower --learning_rate and start again."
        )

    def _samples(self, batch: Any) -> str:
        ids = [str(name) for name in batch[self.id_key]] if self.id_key in batch else ["without ids"]
        shown = ", ".join(ids[:8])
        return shown if len(ids) <= 8 else f"{shown} and {len(ids) - 8} more"
