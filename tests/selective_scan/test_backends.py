"""Which backend is taken, and what is said when that is impossible."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.selective_scan import BACKENDS, available_backends, backend, backends, check_backend

CPU, CUDA, OTHER = torch.device("cpu"), torch.device("cuda"), torch.device("meta")


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Python believe that numba is not installed."""
    yield from _without("numba", monkeypatch)


@pytest.fixture
def without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Python believe that triton is not installed."""
    yield from _without("triton", monkeypatch)


def _without(package: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, package, None)
    _forget_imports()
    yield
    _forget_imports()


def _forget_imports() -> None:
    backend.find_first_import_failure.cache_clear()
    backends._announce.cache_clear()


def test_reference_and_torch_are_always_available() -> None:
    assert {"reference", "torch"} <= set(available_backends()) <= set(BACKENDS)


@pytest.mark.parametrize("name", ["auto", *BACKENDS])
def test_every_backend_can_be_named(name: str) -> None:
    assert check_backend(name) == name


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="'cudnn' does not exist: choose one of auto, reference, torch, numba"):
        check_backend("cudnn")


def test_auto_takes_numba_on_the_cpu() -> None:
    pytest.importorskip("numba")
    assert backends.choose_backend("auto", CPU, torch.float32) == "numba"


def test_auto_takes_our_kernels_on_a_gpu_and_misses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("triton")
    _forget_imports()
    assert backends.choose_backend("auto", CUDA, torch.float32) == "triton"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.usefixtures("without_triton")
def test_without_triton_auto_says_once_how_to_get_fast_on_a_gpu(caplog: pytest.LogCaptureFixture) -> None:
    assert backends.choose_backend("auto", CUDA, torch.float32) in ("mamba_ssm", "torch")
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
    assert "pip install triton" in caplog.text


@pytest.mark.usefixtures("without_triton")
def test_nothing_is_missed_in_float64_which_no_kernel_computes(caplog: pytest.LogCaptureFixture) -> None:
    assert backends.choose_backend("auto", CUDA, torch.float64) == "torch"
    assert [record for record in caplog.records if record.levelno == logging.WARNING] == []


def test_triton_refuses_a_gpu_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(UserError, match=r"needs a GPU of compute capability 8.0 or later, this one has 7.5"):
        backends.choose_backend("triton", CUDA, torch.float32)


def test_triton_refuses_a_build_for_other_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    monkeypatch.setattr(torch.version, "hip", "6.0")
    with pytest.raises(UserError, match="written for NVIDIA's GPUs, this PyTorch is built for AMD's"):
        backends.choose_backend("triton", CUDA, torch.float32)


def test_the_interpreter_lets_triton_run_on_the_cpu_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert backends.choose_backend("triton", CPU, torch.float32) == "triton"
    assert backends.choose_backend("auto", CPU, torch.float32) != "triton"


def test_auto_takes_torch_for_float64_and_for_other_devices() -> None:
    assert backends.choose_backend("auto", CPU, torch.float64) == "torch"
    assert backends.choose_backend("auto", OTHER, torch.float32) == "torch"


@pytest.mark.usefixtures("without_numba")
def test_without_numba_auto_takes_torch_and_says_how_to_get_fast(caplog: pytest.LogCaptureFixture) -> None:
    assert [backends.choose_backend("auto", CPU, torch.float32) for _ in range(3)] == ["torch"] * 3
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "pip install numba" in caplog.text


@pytest.mark.usefixtures("without_numba")
def test_a_missing_package_is_named_with_its_command() -> None:
    assert "numba" not in available_backends()
    with pytest.raises(UserError, match=r"'numba' does not import .* install it with pip install numba"):
        backends.choose_backend("numba", CPU, torch.float32)


def test_the_choice_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    _forget_imports()
    for _ in range(3):
        backends.choose_backend("auto", CPU, torch.float32)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("name", "device"), [("numba", CUDA), ("numba", OTHER), ("mamba_ssm", CPU), ("triton", CPU)])
def test_a_backend_refuses_tensors_of_another_device(name: str, device: torch.device) -> None:
    with pytest.raises(UserError, match=f"{name}.*works on .* tensors, these are on {device.type}"):
        backends.choose_backend(name, device, torch.float32)


def test_numba_refuses_float64() -> None:
    with pytest.raises(UserError, match="computes in float32, these tensors are float64"):
        backends.choose_backend("numba", CPU, torch.float64)
