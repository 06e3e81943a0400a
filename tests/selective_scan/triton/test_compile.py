"""The Triton kernels compile for GPUs of three generations, and keep to registers: no GPU is needed to see that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="triton is not installed (pip install triton, Linux)")

from tests.helpers.compile_triton import TOOLS

# For each compilation, kernel:architecture:rank:dtype of u, the most registers a thread may use and the most bytes of
# stack. Ranks are multiples of 4, as the kernels see them. On the oldest generation the backward kernel parks some
# addresses outside its inner loop.
LIMITS = {
    "forward:80:4:fp32": (176, 0),
    "forward:90:0:fp16": (176, 0),
    "backward:90:0:fp16": (255, 0),
    "backward:90:4:bf16": (255, 0),
    "backward:80:24:fp32": (255, 128),
    "backward:100:24:fp32": (255, 0),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (TOOLS / "cuobjdump").exists(), reason=f"Triton came without NVIDIA's tools ({TOOLS})"),
]


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    """Registers and stack of each compilation, done anew in a process where kernels are not interpreted."""
    program = Path(__file__).parents[2] / "helpers" / "compile_triton.py"
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path_factory.mktemp("triton")), "TRITON_INTERPRET": "0"}
    names = list(LIMITS)
    halves = [
        subprocess.Popen([sys.executable, str(program), *half], env=environment, stdout=subprocess.PIPE, text=True)
        for half in (names[::2], names[1::2])
    ]
    printed = [half.communicate()[0] for half in halves]
    assert [half.returncode for half in halves] == [0, 0]
    return json.loads(printed[0]) | json.loads(printed[1])


@pytest.mark.parametrize("compilation", LIMITS)
def test_a_thread_uses_no_more_than(compilation: str, used: dict[str, dict[str, int]]) -> None:
    registers, stack = LIMITS[compilation]
    assert used[compilation]["registers"] <= registers
    assert used[compilation]["stack"] <= stack
