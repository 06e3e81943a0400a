"""How many folds run at a time: as many as asked for, or with ``auto`` as many as the GPUs' memory takes.

What a fold takes is not guessed: the first one on each GPU writes it down after a few steps of its training, and the
others are started by that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medmamba_monai.core.disk import format_size
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.core.signals import say

CORES_PER_FOLD = 2
"""Cores that a fold on a GPU is given: its Python and its images are what a GPU waits for."""

MARGIN = 1.25
"""What a fold may come to take, as a multiple of what it took at first: validation has batches of its own."""

CONTEXT_BYTES = 1 << 30
"""GPU memory that a process takes beside its tensors, for its context and its kernels."""


def check_jobs(jobs: Any) -> int | str:
    """Check what a user chose for ``jobs``, of which a command line makes a text.

    Raises:
        UserError: it is neither ``auto`` nor a whole number from 1.
    """
    if isinstance(jobs, str) and jobs.isdecimal():
        jobs = int(jobs)
    if jobs == "auto" or (isinstance(jobs, int) and not isinstance(jobs, bool) and jobs >= 1):
        return jobs
    raise UserError(f"--jobs {jobs}: at least one fold must run at a time; give auto or a whole number from 1")


@dataclass(frozen=True)
class GpuMemory:
    """What the training of a fold found of its GPU after a few steps, bytes.

    Attributes:
        taken: the most that its tensors took.
        free: what is free beside it.
    """

    taken: int
    free: int

    @classmethod
    def measure(cls, device: torch.device) -> GpuMemory:
        """Ask the GPU that a training runs on."""
        return cls(torch.cuda.max_memory_reserved(device), torch.cuda.mem_get_info(device)[0])

    @classmethod
    def read(cls, path: Path) -> GpuMemory | None:
        """Return what `write` left; None where it has not yet."""
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None

    def write(self, path: Path) -> None:
        """Keep it in a file."""
        write_json(path, vars(self))

    @property
    def needed(self) -> int:
        """What another fold must find free."""
        return int(MARGIN * self.taken) + CONTEXT_BYTES

    def count_more(self) -> int:
        """Return how many more folds the GPU takes."""
        return self.free // self.needed


def _count_devices(device: torch.device, gpus: int | None) -> int:
    if device.type != "cuda":
        return 0
    if device.index is not None:
        return 1
    return torch.cuda.device_count() if gpus is None else gpus


class Slots:
    """Places for folds that run at the same time; place i is on GPU ``i % devices``.

    Args:
        jobs: how many, or ``auto``: one on a CPU, whose cores serve one fold together; on GPUs one each, and more once
            the files of ``notes`` tell how much memory a fold takes.
        folds: how many folds are to run.
        device: what they train on; a GPU without a number stands for all that there are.
        notes: files in which the folds write `GpuMemory`.
        gpus: number of GPUs; None counts them.
        cores: number of CPU cores; None counts them.
    """

    def __init__(
        self,
        jobs: int | str,
        folds: int,
        device: torch.device,
        notes: Sequence[Path] = (),
        gpus: int | None = None,
        cores: int | None = None,
    ) -> None:
        self.devices = _count_devices(device, gpus)
        self._cores = cores or os.cpu_count() or 1
        self._grows = jobs == "auto" and self.devices > 0
        self._notes, self._folds = notes, folds
        self.number = max(min(self.devices, folds), 1) if isinstance(jobs, str) else jobs

    @property
    def most(self) -> int:
        """How many there may come to be."""
        return max(self.number, min(self._folds, self._cores // CORES_PER_FOLD)) if self._grows else self.number

    def describe(self) -> str:
        """Return a line that says how many folds run at a time, and why."""
        if self._grows and self.most > self.number:
            return f"folds: {self.number} at first, then as many as GPU memory and {self._cores} cores take (auto)"
        if self.devices:
            return f"folds: {self.number} at a time on {self.devices} GPU{'s' if self.devices > 1 else ''}"
        return f"folds: {self.number} at a time on the {self._cores} cores of the CPU"

    def update(self) -> int:
        """Return how many folds may run now, after a look at what they wrote down."""
        if self._grows and len(found := [memory for note in self._notes if (memory := GpuMemory.read(note))]):
            self._grow(max(found, key=lambda memory: memory.needed), min(memory.free for memory in found))
        return self.number

    def _grow(self, largest: GpuMemory, free: int) -> None:
        more = GpuMemory(largest.taken, free).count_more()
        most, self._grows = self.most, False
        self.number = min(most, self.number + more * max(self.devices, 1))
        say(
            f"folds: {self.number} at a time from now on: a fold takes {format_size(largest.needed)} of GPU memory, of "
            f"which {format_size(free)} are free; {self._cores} cores, {CORES_PER_FOLD} a fold (--jobs to choose)"
        )
