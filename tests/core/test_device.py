from __future__ import annotations

import pytest
import torch

from medmamba_monai.core.device import resolve_device
from medmamba_monai.core.errors import UserError


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a GPU where there is none; here is one")
@pytest.mark.parametrize("device", ["cuda", "cuda:0", torch.device("cuda", 3)])
def test_a_gpu_that_is_not_there_is_a_clear_error(device):
    with pytest.raises(UserError, match="sees 0 CUDA devices"):
        resolve_device(device)


@pytest.mark.parametrize("device", [True, (1, 2), None])
def test_what_is_no_text_is_no_device(device):
    with pytest.raises(UserError, match="is not a device; use auto, cpu"):
        resolve_device(device)


def test_a_device_that_does_not_exist_is_a_clear_error():
    with pytest.raises(UserError, match="'gpu' is not a device; use auto, cpu"):
        resolve_device("gpu")


def test_auto_is_the_cpu_without_a_gpu():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto").type == expected
