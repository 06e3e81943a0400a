"""Quantizing an ONNX network: what is stored in integers, what stays, how near the numbers remain, and bad input."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from medmamba_monai.core.errors import UserError
from medmamba_monai.export.quantization import Quantized, quantize_onnx
from medmamba_monai.export.quantization.quantize import SMALLEST_HALVED

CHANNELS, CLASSES, DIRECTIONS = 32, 3, 4


def write_network(path: Path) -> Path:
    """Write what an exporter makes of a convolution, a norm, a scan's steps with their decay, a gate and a linear.

    As of a real export, the linear's weight stands behind a transpose and nodes carry metadata.
    """
    random = np.random.default_rng(0)
    constants = {
        "kernel": random.normal(0, 0.2, (CHANNELS, 3, 3, 3)),
        "scale": np.ones(CHANNELS),
        "shift": np.zeros(CHANNELS),
        "steps": random.normal(0, 0.2, (DIRECTIONS, CHANNELS, CHANNELS)),
        "rates": -random.uniform(0.1, 1, (DIRECTIONS, 1, CHANNELS)),
        "gate_weight": random.normal(0, 0.2, (CHANNELS, CHANNELS)),
        "head_weight": random.normal(0, 0.2, (CLASSES, CHANNELS)),
    }
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["map"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("ReduceMean", ["map", "axes"], ["token"], "mean", keepdims=0),
        helper.make_node("LayerNormalization", ["token", "scale", "shift"], ["normal"], "norm"),
        helper.make_node("MatMul", ["normal", "steps"], ["raw"], "steps_of_scan"),
        helper.make_node("Softplus", ["raw"], ["delta"], "softplus"),
        helper.make_node("Mul", ["delta", "rates"], ["exponent"], "exponent_of_scan"),
        helper.make_node("Exp", ["exponent"], ["decay"], "decay_of_scan"),
        helper.make_node("ReduceMean", ["decay", "first"], ["scanned"], "sum_of_scan", keepdims=0),
        helper.make_node("Transpose", ["gate_weight"], ["gate_turned"], "turn_gate", perm=[1, 0]),
        helper.make_node("MatMul", ["normal", "gate_turned"], ["gate_raw"], "gate"),
        helper.make_node("Sigmoid", ["gate_raw"], ["gated"], "sigmoid_of_gate"),
        helper.make_node("Mul", ["scanned", "gated"], ["out"], "product_of_gate"),
        helper.make_node("Transpose", ["head_weight"], ["head_turned"], "turn_head", perm=[1, 0]),
        helper.make_node("MatMul", ["out", "head_turned"], ["logits"], "head"),
    ]
    nodes[0].metadata_props.add(key="pkg.torch.onnx.stack_trace", value="File ..." * 1000)
    initializers = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
    initializers += [
        numpy_helper.from_array(np.array([2, 3]), "axes"),
        numpy_helper.from_array(np.array([0]), "first"),
    ]
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 8, 8])
    found = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])
    graph = helper.make_graph(nodes, "network", [given], [found], initializers)
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def draw_images(count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.normal(0, 1, (count, 3, 1, 1)) + random.normal(0, 0.1, (count, 3, 8, 8))).astype(np.float32)


def predict(path: Path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": images})[0])


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("network") / "float.onnx")


@pytest.fixture(scope="module")
def quantized(network: Path) -> tuple[Path, Quantized]:
    path = network.with_name("int8.onnx")
    return path, quantize_onnx(network, [draw_images(100), draw_images(28, seed=1)], path)


def test_linears_and_convolutions_are_quantized_and_the_scan_is_not(quantized):
    path, found = quantized
    assert found.nodes == ("conv", "gate", "head")
    assert found.left_out == ("steps_of_scan",)
    graph = onnx.load(path).graph
    makers = {name: node for node in graph.node for name in node.output}
    reading = {
        node.name
        for node in graph.node
        for name in node.input
        if name in makers and makers[name].op_type == "DequantizeLinear"
    }
    assert reading == {*found.nodes, "mean"}  # the mean reads the convolution's result
    stored = {tensor.name.removesuffix("_quantized"): tensor.data_type for tensor in graph.initializer}
    assert stored["kernel"] == stored["head_turned"] == stored["gate_turned"] == TensorProto.UINT8


def test_logits_and_steps_of_the_scan_are_no_multiples_of_a_scale(quantized):
    makers = {name: node for node in onnx.load(quantized[0]).graph.node for name in node.output}
    assert makers["logits"].op_type in ("MatMul", "Gemm")


def test_scales_are_of_each_output_channel(quantized):
    sizes = {tensor.name: list(tensor.dims) for tensor in onnx.load(quantized[0]).graph.initializer}
    assert sizes["kernel_scale"] == [CHANNELS]
    assert sizes["head_turned_scale"] == [CLASSES]


def test_the_file_is_smaller_by_the_share_of_its_weights(network, quantized):
    path, found = quantized
    assert found.bytes == path.stat().st_size
    assert found.weights == CHANNELS * (3 * 9 + CHANNELS + CLASSES)
    whole = onnx.load(network)
    del whole.graph.node[0].metadata_props[:]
    halved = DIRECTIONS * CHANNELS**2
    saved = 3 * found.weights + 2 * halved
    assert whole.ByteSize() - found.bytes == pytest.approx(saved, rel=0.5)


def test_large_constants_of_the_scan_are_stored_in_half_precision(quantized):
    stored = {tensor.name: tensor for tensor in onnx.load(quantized[0]).graph.initializer}
    assert DIRECTIONS * CHANNELS**2 >= SMALLEST_HALVED
    assert stored["steps_float16"].data_type == TensorProto.FLOAT16
    assert stored["rates"].data_type == TensorProto.FLOAT


def test_numbers_are_near_those_of_the_float_network_for_any_batch(network, quantized):
    images = draw_images(50, seed=2)
    before, after = (predict(path, images) for path in (network, quantized[0]))
    assert 0 < np.abs(before - after).mean() < 0.15 * before.std(axis=0).mean()
    np.testing.assert_allclose(predict(quantized[0], images[:1]), after[:1], atol=1e-5)


def test_stack_traces_and_inner_shapes_are_gone(quantized):
    model = onnx.load(quantized[0])
    assert not model.graph.value_info
    assert not [node.name for node in model.graph.node if node.metadata_props or node.doc_string]


def test_four_bits_make_a_smaller_file_that_still_runs(network, quantized, tmp_path):
    found = quantize_onnx(network, [draw_images(8)], tmp_path / "int4.onnx", weight_bits=4)
    assert found.weight_bits == 4
    assert found.weights == quantized[1].weights
    assert found.bytes < quantized[1].bytes
    assert np.isfinite(predict(tmp_path / "int4.onnx", draw_images(2))).all()


def test_images_are_counted_and_the_level_of_logging_stays(network, tmp_path):
    level = logging.getLogger().level
    assert quantize_onnx(network, (draw_images(n) for n in (3, 2, 1)), tmp_path / "int8.onnx").images == 6
    assert logging.getLogger().level == level


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "calibration: holds no image"),
        ([draw_images(1)[:, :2]], r"shape \[1, 2, 8, 8\], but the network takes \['any', 3, 8, 8\]"),
        ([draw_images(1)[0]], r"shape \[3, 8, 8\]"),
        ([np.full((1, 3, 8, 8), np.nan, np.float32)], "NaN or infinity"),
    ],
)
def test_images_that_do_not_fit_are_refused_and_no_file_is_written(network, tmp_path, batches, message):
    with pytest.raises(UserError, match=message):
        quantize_onnx(network, batches, tmp_path / "int8.onnx")
    assert not list(tmp_path.iterdir())


def test_a_network_without_a_product_is_refused(tmp_path):
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("image", "logits")]
    graph = helper.make_graph([helper.make_node("Relu", ["image"], ["logits"])], "none", shapes[:1], shapes[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, tmp_path / "none.onnx")
    with pytest.raises(UserError, match=r"none\.onnx: has no linear or convolution with a constant weight"):
        quantize_onnx(tmp_path / "none.onnx", [np.zeros((1, 3), np.float32)], tmp_path / "int8.onnx")
