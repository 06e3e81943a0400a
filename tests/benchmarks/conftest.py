"""What benchmarks change in the process that calls them is undone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _keep_threads() -> Iterator[None]:
    """Give the tests after a benchmark as many threads as they had before."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
