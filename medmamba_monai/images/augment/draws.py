"""Random numbers that belong to an image and an epoch, whoever asks for them, where and in which order."""

from __future__ import annotations

import numpy as np


class Draws:
    """Uniform numbers for each image: the rows of a table that a seed and the number of a stream decide.

    Row i is the same however many rows there are, so that the numbers of an image depend on neither the batch that it
    is in nor the worker that loads it. They are drawn on the CPU, and so the same for every device.

    Args:
        columns: numbers for each image.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.reseed(0, 0)

    def reseed(self, seed: int, stream: int) -> None:
        """Begin a table anew.

        Args:
            seed: of the epoch, from 0.
            stream: number of the transform, so that each has numbers of its own, from 0.
        """
        self._source = (seed, stream)
        self._table = np.empty((0, self.columns))

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return the numbers of some images.

        Args:
            indices: numbers of the images in their dataset (B,), from 0.

        Returns:
            Float64 array (B, columns) of numbers in [0, 1).
        """
        needed = int(indices.max(initial=-1)) + 1
        if needed > len(self._table):
            rows = 1 << (needed - 1).bit_length()
            self._table = np.random.default_rng(self._source).random((rows, self.columns))
        return self._table[indices]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_table": np.empty((0, self.columns))}
