"""The Triton kernels compile for GPUs of three generations, and keep to registers: no GPU is needed to see that."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("triton", reason="triton is not installed (pip install triton, Linux)")

from tests.helpers.compile_triton import TOOLS
from tests.helpers.small_bundle import ROOT, run_command

# For each compilation, kernel:architecture:rank:dtype of u, the most registers a thread may use and the most bytes of
# stack. Ranks are multiples of 4, as the kernels see them. On the oldest generation the backward kernel parks some
# addresses outside its inner loop.
LIMITS = {
    "forward:80:4:fp32": (176, 0),
    "forward:90:0:fp16": (176, 0),
    "backward:90:4:bf16": (255, 0),
    "backward:80:24:fp32": (255, 128),
    "backward:100:0:fp16": (255, 0),
    "layout:90:3:bf16": (96, 0),
    "parts:90:3:bf16": (64, 0),
    "images:80:3:fp32": (96, 0),
    "split_norm:80:384:fp32": (128, 0),
    "split_norm_backward:100:384:bf16": (168, 0),
    "norm_gate_backward:90:768:bf16": (168, 0),
    "merge:90:0:bf16": (96, 0),
    "merge_backward:80:0:fp16": (96, 0),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.apart,
    pytest.mark.skipif(not (TOOLS / "cuobjdump").exists(), reason=f"Triton came without NVIDIA's tools ({TOOLS})"),
]


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    """Registers and stack of each compilation, done anew in a process where kernels are not interpreted."""
    settings = {"TRITON_CACHE_DIR": str(tmp_path_factory.mktemp("cache")), "TRITON_INTERPRET": "0"}

    def compile_some(names: list[str]) -> dict[str, dict[str, int]]:
        command = [sys.executable, "-m", "tests.helpers.compile_triton", *names]
        ended, printed = run_command(command, tmp_path_factory.mktemp("half"), PYTHONPATH=str(ROOT), **settings)
        assert ended == 0, printed
        return json.loads(printed.splitlines()[-1])

    slowest = ["backward:90:4:bf16", "forward:90:0:fp16"]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(compile_some, (slowest, [name for name in LIMITS if name not in slowest]))
    return first | second


@pytest.mark.parametrize("compilation", LIMITS)
def test_a_thread_uses_no_more_than(compilation: str, used: dict[str, dict[str, int]]) -> None:
    registers, stack = LIMITS[compilation]
    assert used[compilation]["registers"] <= registers
    assert used[compilation]["stack"] <= stack
