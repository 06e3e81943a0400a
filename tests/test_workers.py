"""The workers of pytest-xdist leave one another their cores."""

import os

import pytest
import torch


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="without workers there is nobody to disturb")
def test_a_worker_computes_with_as_many_threads_as_its_environment_says():
    assert torch.get_num_threads() == int(os.environ["OMP_NUM_THREADS"])
