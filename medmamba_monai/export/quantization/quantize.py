"""Static quantization of an ONNX network, by onnxruntime's own quantizer in its QDQ format.

The quantizer looks for products whose weight is a constant. An exporter leaves most weights behind a transpose, and
some shapes behind constants of their own; onnxruntime's basic optimizations, which keep to standard operators, fold
them first. What is no linear and no convolution stays in float32: the scan's recurrence, norms, gates, activations.
The results of linears stay too, since the step sizes of the scan and the logits are among them.

Numbers are unsigned: on a CPU without VNNI onnxruntime adds products of signed ones in 16 bits, which overflow.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import replace_atomically

if TYPE_CHECKING:
    import onnx

PRODUCTS = ("Conv", "MatMul", "Gemm")
"""The operators of linears and convolutions."""

SMALLEST_HALVED = 1024
"""A constant with fewer elements keeps its float32; the others are stored in float16 and widened when it is loaded."""

_LINEARS = ["MatMul", "Gemm"]


@dataclass(frozen=True)
class Quantized:
    """What became of a network.

    Attributes:
        weight_bits: of each weight of a linear or a convolution.
        nodes: names of the linears and convolutions that compute with quantized numbers.
        left_out: names of the other products, such as those of the scan, which stay in float.
        weights: numbers that are stored in ``weight_bits``.
        other_numbers: numbers that are stored in float or as indices.
        images: how many the ranges of the activations were read from.
        bytes: of the file.
    """

    weight_bits: int
    nodes: tuple[str, ...]
    left_out: tuple[str, ...]
    weights: int
    other_numbers: int
    images: int
    bytes: int


def quantize_onnx(
    float_model: Path, calibration: Iterable[np.ndarray], output: Path, weight_bits: Literal[4, 8] = 8
) -> Quantized:
    """Write a copy of an ONNX network whose linears and convolutions compute with integers.

    Weights have a scale for each output channel, activations one for each tensor, from the smallest and the largest
    value that the calibration images give.

    Args:
        float_model: the network in float32, with one input.
        calibration: batches as the network takes them, such as (B, C, H, W) float32; see
            :func:`~medmamba_monai.export.quantization.read_calibration`.
        output: the file to write.
        weight_bits: 8; or 4, for which onnxruntime has no fast products on a CPU: the file is smaller, not faster.

    Raises:
        UserError: the network has no linear or convolution with a constant weight, there is no calibration image, or
            the images do not fit the network.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as folder:
        prepared = _fold_constants(Path(float_model), Path(folder))
        nodes, left_out = _choose_nodes(prepared, float_model)
        batches = _Batches(prepared.graph.input[0], calibration)
        with _log_errors_only():
            quantize_static(
                prepared,
                Path(folder) / "quantized.onnx",
                batches,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(PRODUCTS),
                nodes_to_quantize=list(nodes),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QUInt8 if weight_bits == 8 else QuantType.QInt4,
                extra_options={"OpTypesToExcludeOutputQuantization": _LINEARS},
            )
        made = onnx.load(Path(folder) / "quantized.onnx")
    _undo_for_others(made, set(nodes))
    _halve_constants(made)
    _strip(made)
    with replace_atomically(output) as temporary:
        temporary.write_bytes(made.SerializeToString())
    weights, others = _count_numbers(made)
    return Quantized(weight_bits, nodes, left_out, weights, others, batches.images, Path(output).stat().st_size)


def _fold_constants(path: Path, folder: Path) -> onnx.ModelProto:
    """Return the network with constant weights as such, and the shapes that the quantizer asks for."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with _log_errors_only():
        # onnxruntime's symbolic inference is for transformers with several free axes; here only the batch is free
        quant_pre_process(path, folder / "prepared.onnx", skip_symbolic_shape=True)
    return onnx.load(folder / "prepared.onnx")


def _choose_nodes(model: onnx.ModelProto, path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return linears and convolutions, and the other products: a linear's weight is a matrix, the scan's is a stack."""
    axes = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type in PRODUCTS]
    chosen = tuple(
        node.name
        for node in products
        if node.input[1] in axes and (node.op_type not in _LINEARS or axes[node.input[1]] == 2)
    )
    if not chosen:
        raise UserError(f"{path}: has no linear or convolution with a constant weight; there is nothing to quantize")
    return chosen, tuple(node.name for node in products if node.name not in chosen)


class _Batches:
    """The calibration images as onnxruntime asks for them, checked and counted."""

    def __init__(self, graph_input: onnx.ValueInfoProto, batches: Iterable[np.ndarray]) -> None:
        self.name, self.images = graph_input.name, 0
        self._shape = [axis.dim_value or None for axis in graph_input.type.tensor_type.shape.dim]
        self._batches: Iterator[np.ndarray] = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch by the input's name, or None after the last."""
        batch = next(self._batches, None)
        if batch is None:
            if not self.images:
                raise UserError("calibration: holds no image; give training images of the fold, a hundred or so")
            return None
        self._check(batch)
        self.images += len(batch)
        return {self.name: batch}

    def _check(self, batch: np.ndarray) -> None:
        fits = batch.ndim == len(self._shape) and all(
            expected in (None, found) for expected, found in zip(self._shape, batch.shape, strict=True)
        )
        if not fits:
            shape = ["any" if axis is None else axis for axis in self._shape]
            raise UserError(f"calibration: a batch has the shape {list(batch.shape)}, but the network takes {shape}")
        if not np.isfinite(batch).all():
            raise UserError("calibration: a batch holds NaN or infinity; leave that image out")


def _undo_for_others(model: onnx.ModelProto, products: set[str]) -> None:
    """Let scan, norms and gates read an activation itself where the quantizer rounded it for a product beside them.

    The result of a convolution is rounded for all: only then does it compute in integers from end to end.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    exact = {}
    for node in model.graph.node:
        rounding = makers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if rounding is not None and rounding.op_type == "QuantizeLinear":
            made_by = makers.get(rounding.input[0])
            if made_by is None or made_by.name not in products:
                exact[node.output[0]] = rounding.input[0]
    for node in model.graph.node:
        if node.name not in products:
            node.input[:] = [exact.get(name, name) for name in node.input]


def _halve_constants(model: onnx.ModelProto) -> None:
    """Store the large constants that are still float32 in float16, each behind a cast that loading folds away."""
    from onnx import TensorProto, helper, numpy_helper

    scales = {name for node in model.graph.node if "QuantizeLinear" in node.op_type for name in node.input[1:]}
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST_HALVED or tensor.name in scales:
            continue
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        wide, narrow = tensor.name, f"{tensor.name}_float16"
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), narrow))
        casts.append(helper.make_node("Cast", [narrow], [wide], f"{wide}_widened", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _strip(model: onnx.ModelProto) -> None:
    """Remove what no runtime needs: stack traces, and shapes of inner tensors, which may name a batch of their own."""
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")


def _count_numbers(model: onnx.ModelProto) -> tuple[int, int]:
    """Return how many constant numbers are weights in integers, and how many are others."""
    stored: dict[Any, int] = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    dequantized = {node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    biases = {tensor.name for tensor in model.graph.initializer if tensor.data_type == tensor.INT32}
    weights = sum(count for name, count in stored.items() if name in dequantized - biases)
    return weights, sum(stored.values()) - weights


@contextmanager
def _log_errors_only() -> Iterator[None]:
    """Keep what onnxruntime and its quantizer say of their own steps off the user's screen."""
    import onnxruntime

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    onnxruntime.set_default_logger_severity(3)
    try:
        yield
    finally:
        root.setLevel(level)
        onnxruntime.set_default_logger_severity(2)
