"""Which Triton kernels a network needs, and that other batches and images need no others: no GPU is needed for that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

pytest.importorskip("triton", reason="triton is not installed (pip install triton, Linux)")

from triton.backends.compiler import GPUTarget
from triton.compiler import make_backend
from triton.runtime.jit import MockTensor, create_function_from_signature

from medmamba_monai import medmamba_tiny
from medmamba_monai.selective_scan.expected import ScanSizes, list_expected_scans
from medmamba_monai.selective_scan.inputs import ScanInputs
from medmamba_monai.selective_scan.triton import compiling, launch

HOPPER = GPUTarget("cuda", 90, 32)
Asked = list[str]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    """By what Triton tells kernels apart, of each kernel that is to be compiled; nothing is compiled."""
    keys: Asked = []

    def watch(kernel: Any) -> None:
        bind = create_function_from_signature(kernel.signature, kernel.params, make_backend(HOPPER))

        def warmup(*arguments: Any, grid: Any, **constants: Any) -> None:
            _, specialization, options = bind(*map(MockTensor.wrap_dtype, arguments), **constants)
            keys.append(f"{kernel.fn.__name__} {specialization} {options}")

        monkeypatch.setattr(kernel, "warmup", warmup)

    small = launch.lay_out_kernel, launch.add_parts_kernel, launch.add_images_kernel
    for kernel in (launch.forward_kernel, launch.backward_kernel, *small):
        watch(kernel)
    return keys


@pytest.fixture(scope="module")
def sizes() -> list[ScanSizes]:
    """The scans of MedMamba-T; other networks of this process are on other devices."""
    with torch.device("meta"):
        network = medmamba_tiny(num_classes=2)
    found = list_expected_scans(torch.device("meta"))
    del network
    return found


def scan_of(sizes: ScanSizes, batch: int, spatial_shape: list[int], dtype: torch.dtype) -> ScanInputs:
    """A scan without memory, of a batch of maps."""
    one = compiling.make_inputs(sizes, dtype)
    length = spatial_shape[0] * spatial_shape[1]
    return one._replace(
        u=one.u.expand(batch, length, -1),
        projected=one.projected.expand(batch, length, -1, -1),
        spatial_shape=spatial_shape,
    )


def walking(asked: Asked) -> set[str]:
    """Those that walk the tokens, which take long to compile."""
    return {key for key in asked if key.startswith(("forward", "backward"))}


def start(sizes: list[ScanSizes], dtype: torch.dtype, training: bool = True) -> int:
    return compiling.start_all(sizes, dtype, training, launch.forward, launch.backward)


def test_a_network_is_known_for_as_long_as_it_lives(sizes: list[ScanSizes]) -> None:
    assert [scan.rank for scan in sizes] == [3, 6, 12, 24]
    assert {(scan.directions, scan.channels // scan.rank, scan.state_size) for scan in sizes} == {(4, 64 // 2, 16)}
    assert list_expected_scans(torch.device("meta")) == []


def test_medmamba_tiny_trains_with_three_kernels_a_stage(asked: Asked, sizes: list[ScanSizes]) -> None:
    assert start(sizes, torch.bfloat16) == len(walking(asked)) == 12
    assert len(set(asked)) == 12 + 4 + 4 + 4  # layout by rank, sums by padding and dtype, sums over images by rank
    assert start(sizes, torch.bfloat16, training=False) == 4
    assert len(set(asked)) == 24
    start(sizes, torch.float32)
    assert len(walking(asked)) == 24


@pytest.mark.parametrize(("batch", "spatial_shape"), [(64, [56, 56]), (1, [1, 1]), (20, [56, 56]), (16, [17, 3])])
def test_no_batch_and_no_image_needs_another_kernel(
    asked: Asked, sizes: list[ScanSizes], batch: int, spatial_shape: list[int]
) -> None:
    start(sizes[:1], torch.float32)
    known = set(asked)
    asked.clear()
    scan = scan_of(sizes[0], batch, spatial_shape, torch.float32)
    y, states = launch.forward(scan, True)
    launch.forward(scan, False)
    launch.backward(y, states, scan)
    assert set(asked) == known


def test_each_device_dtype_and_purpose_is_compiled_once(
    asked: Asked, sizes: list[ScanSizes], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(compiling, "_DONE", set())
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    caplog.set_level("INFO", "medmamba_monai.selective_scan")
    scan = scan_of(sizes[1], 2, [4, 4], torch.bfloat16)
    for training in (False, True, True, False):
        compiling.compile_before_first_use(scan, training, launch.forward, launch.backward)
    walks = [key for key in asked if key in walking(asked)]
    assert [len(walks), len(set(walks))] == [1 + 3, 3]
    assert "compiling the scan's kernels for 1 sizes" in caplog.text
    assert "3 kernels of the scan, and the small ones beside them, are ready after" in caplog.text
