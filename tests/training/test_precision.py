from __future__ import annotations

import pytest
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.training.precision import resolve_precision
from tests.training.test_options import options

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("given", "taken"),
    [("auto", False), (False, False), ("False", False), ("false", False), ("bfloat16", "bfloat16")],
)
def test_precision_on_a_cpu(given, taken):
    assert resolve_precision(given, CPU) == taken
    made = options(amp=given)
    assert made.amp == made.values()["amp"] == taken


@pytest.mark.parametrize("given", [True, "True", "true", "float16"])
def test_float16_without_a_gpu_is_a_clear_error(given):
    with pytest.raises(UserError, match=f"--amp {given} needs a GPU, the device is cpu"):
        resolve_precision(given, CPU)


@pytest.mark.parametrize("given", ["fp16", 1, None, 0.5, [True]])
def test_what_is_no_precision_is_refused_with_all_there_are(given):
    with pytest.raises(UserError, match=r"give auto, bfloat16, float16, True \(float16\) or False"):
        resolve_precision(given, CPU)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_auto_on_a_gpu_is_bfloat16_where_it_has_it():
    device = torch.device("cuda", 0)
    has = torch.cuda.get_device_capability(device) >= (8, 0)
    assert resolve_precision("auto", device) == ("bfloat16" if has else False)
    assert resolve_precision(True, device) == "float16"
