"""How many threads compute: sums in other parts differ in the last bit, and so do weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def compute_with_one_thread() -> Iterator[None]:
    """Compute with one thread, as the commands of the tests do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
