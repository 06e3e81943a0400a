"""The adapter to mamba_ssm: its expansion and merging anywhere, the CUDA kernel where it is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from medmamba_monai.selective_scan import available_backends, directional_scan
from medmamba_monai.selective_scan.inputs import ScanInputs
from medmamba_monai.selective_scan.mamba_ssm import load_scan, mamba_directional_scan, wrap_extension
from medmamba_monai.selective_scan.reference import reference_directional_scan, reference_selective_scan
from tests.helpers.scan_inputs import gradients, make_inputs, relative_error
from tests.helpers.sequences import make_sequences


class ReferenceExtension:
    """Has the ``fwd`` and ``bwd`` of the extension module, and computes with the reference."""

    @staticmethod
    def fwd(*arguments: Tensor) -> list[Tensor]:
        u, delta, A, B, C, D, _, delta_bias, softplus = arguments
        assert all(tensor.is_contiguous() for tensor in (u, delta, A, B, C, D, delta_bias))
        return [reference_selective_scan(u, delta, A, B, C, D, delta_bias, softplus), torch.zeros(0)]

    @staticmethod
    def bwd(*arguments: Tensor) -> tuple[Tensor, ...]:
        u, delta, A, B, C, D, _, delta_bias, grad_y, _, _, _, softplus, _ = arguments
        leaves = [tensor.detach().requires_grad_() for tensor in (u, delta, A, B, C, D, delta_bias)]
        with torch.enable_grad():
            return torch.autograd.grad(reference_selective_scan(*leaves, softplus), leaves, grad_y)


@pytest.mark.parametrize("spatial_shape", [(5,), (1, 1), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("scan", [reference_selective_scan, wrap_extension(ReferenceExtension)])
def test_expanded_sequences_mean_the_same_scan(spatial_shape: tuple[int, ...], scan: object) -> None:
    inputs = make_inputs(spatial_shape, dtype=torch.float64)
    y = mamba_directional_scan(ScanInputs(*inputs, list(spatial_shape)), scan=scan)
    truth = reference_directional_scan(ScanInputs(*inputs, list(spatial_shape)))
    errors = map(relative_error, gradients(y, inputs), gradients(truth, inputs))
    assert relative_error(y, truth) < 1e-13
    assert all(error < 1e-12 for error in errors)


def test_the_extension_scans_without_skip_bias_or_groups() -> None:
    u, delta, A, B, C, *_ = make_sequences()
    y = wrap_extension(ReferenceExtension)(u, delta, A, B, C)
    torch.testing.assert_close(y, reference_selective_scan(u, delta, A, B, C))


def test_an_empty_batch_needs_no_kernel() -> None:
    assert mamba_directional_scan(ScanInputs(*make_inputs((3, 4), batch=0), [3, 4])).shape == (0, 12, 5)


def test_the_extension_is_taken_where_the_package_does_not_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mamba_ssm" / "ops" / "selective_scan_interface.py"
    package.parent.mkdir(parents=True)
    package.write_text("raise RuntimeError('no active GPU driver')")
    (tmp_path / "selective_scan_cuda.py").write_text("")
    for name in ("mamba_ssm", "mamba_ssm.ops", "selective_scan_cuda"):
        monkeypatch.setitem(sys.modules, name, None)  # what is imported here is forgotten after the test
        del sys.modules[name]
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "wrap_extension" in load_scan.__wrapped__().__qualname__


@pytest.mark.gpu
@pytest.mark.skipif("mamba_ssm" not in available_backends() or not torch.cuda.is_available(), reason="needs mamba_ssm")
@pytest.mark.parametrize("spatial_shape", [(1, 1), (7, 9), (56, 56)])
def test_the_installed_kernel_agrees_with_the_reference(spatial_shape: tuple[int, ...]) -> None:
    inputs = [tensor.detach().cuda().requires_grad_() for tensor in make_inputs(spatial_shape, state_size=16)]
    y = directional_scan(*inputs, list(spatial_shape), backend="mamba_ssm")
    truth = directional_scan(*inputs, list(spatial_shape), backend="torch")
    assert relative_error(y, truth) < 1e-5
