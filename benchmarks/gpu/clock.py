"""A handler that notes when a training took its first step, and how many images it took a second after that."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from ignite.engine import Events
from monai.engines import Trainer

from medmamba_monai.core.files import write_json


class StepClock:
    """Write what the clock said to a JSON file when the training is done.

    Its fields: ``first_step_at``, seconds since the epoch of Unix; ``precision``; ``images`` and ``seconds`` of all
    epochs but the first, validation and checkpoints included; ``step_images_per_second`` without them.

    Args:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._first_step_at = 0.0
        self._counted_from: float | None = None
        self._epoch_began = 0.0
        self._images = 0
        self._of_epoch = 0
        self._step_seconds = 0.0

    def attach(self, engine: Trainer) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.start_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.count_images)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.end_steps)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def start_epoch(self, engine: Trainer) -> None:
        """Begin to count with the second epoch that runs here."""
        self._epoch_began = time.time()
        if self._first_step_at and self._counted_from is None:
            self._counted_from = self._epoch_began
        self._of_epoch = 0

    def count_images(self, engine: Trainer) -> None:
        """Count the images of a step, and note when the first one was done on the device."""
        self._of_epoch += len(engine.state.output["label"])
        if not self._first_step_at:
            _wait_for(engine)
            self._first_step_at = time.time()

    def end_steps(self, engine: Trainer) -> None:
        """Note how long the steps of an epoch took, before validation begins."""
        if self._counted_from is not None:
            _wait_for(engine)
            self._images += self._of_epoch
            self._step_seconds += time.time() - self._epoch_began

    def write(self, engine: Trainer) -> None:
        """Write the file."""
        seconds = time.time() - self._counted_from if self._counted_from else 0.0
        found = {
            "first_step_at": self._first_step_at,
            "precision": find_precision(engine),
            "images": self._images,
            "seconds": seconds,
            "step_images_per_second": self._images / self._step_seconds if self._step_seconds else None,
        }
        write_json(self.path, found)


def find_precision(engine: Trainer) -> str:
    """Return the dtype that a MONAI engine computes in."""
    if not engine.amp:
        return "float32"
    return str(engine.amp_kwargs.get("dtype", torch.float16)).removeprefix("torch.")


def _wait_for(engine: Trainer) -> None:
    device = torch.device(engine.state.device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
