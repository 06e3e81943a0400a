"""ONNX files of small networks, run by onnxruntime: the same logits, in 2D and 3D, at odd sizes, in any batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from medmamba_monai import MedMamba
from medmamba_monai.export.onnx import export_onnx
from medmamba_monai.export.prepare import make_loopable
from medmamba_monai.networks.blocks import SS2D


def make_network(spatial_dims: int) -> MedMamba:
    torch.manual_seed(0)
    network = MedMamba(spatial_dims, 1, 3, depths=(1, 1), channels=(8, 16))
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)):
            module.running_mean.normal_()  # so that folding them does something
            module.running_var.uniform_(0.5, 2.0)
        if isinstance(module, SS2D):
            module.A_log.data += 0.1 * torch.randn_like(module.A_log)
    return network.eval()


@pytest.mark.parametrize(("spatial_dims", "size"), [(2, (33, 37)), (3, (17, 16, 18))])
@pytest.mark.parametrize("tokens", [1, 5, 16])
def test_a_loop_computes_what_the_kernel_does(spatial_dims, size, tokens):
    network = make_network(spatial_dims)
    images = torch.randn(2, 1, *size)
    with torch.inference_mode():
        torch.testing.assert_close(make_loopable(network, tokens)(images), network(images), rtol=1e-5, atol=1e-6)


@pytest.mark.apart
@pytest.mark.slow
@pytest.mark.parametrize(("spatial_dims", "size"), [(2, (33, 37)), (3, (9, 8, 10))])
def test_a_file_gives_the_same_logits_in_any_batch_and_holds_its_weights(spatial_dims, size, tmp_path: Path):
    network = make_network(spatial_dims)
    path = export_onnx(network, torch.zeros(2, 1, *size), tmp_path / "model.onnx", tokens=5)  # traced sooner than 16
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        images = torch.randn(batch, 1, *size)
        with torch.inference_mode():
            expected = network(images).numpy()
        np.testing.assert_allclose(session.run(None, {"image": images.numpy()})[0], expected, rtol=0, atol=1e-6)

    graph = onnx.load(path).graph
    onnx.checker.check_model(path)
    assert sum(node.op_type == "Scan" for node in graph.node) == 2  # one a block
    weights = {initializer.name for initializer in graph.initializer}
    products = [node for node in graph.node if node.op_type in ("MatMul", "Gemm", "Conv")]
    assert all(weights & set(node.input[1:2]) for node in products)
    assert not any(node.metadata_props or node.doc_string for node in graph.node)


def test_an_export_does_not_tell_of_each_node(tmp_path: Path, caplog):
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(8, 2)).eval()
    with caplog.at_level("INFO"):  # as the command line has it
        export_onnx(network, torch.zeros(2, 1, 4, 4), tmp_path / "model.onnx")
    assert [record.message for record in caplog.records if record.name.startswith("onnx")] == []
