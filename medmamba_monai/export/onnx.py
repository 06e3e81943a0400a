"""A network as an ONNX file whose weights are initializers and whose scans are loops."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_bytes
from medmamba_monai.export.looped_scan import TOKENS
from medmamba_monai.export.prepare import make_loopable

_TALKATIVE = ("torch.onnx._internal.exporter._registration", "onnxscript", "onnx_ir")

OPSET = 20
NO_LIMIT = 2**40
"""Bytes up to which a constant is computed in advance: all, so that weights are initializers and not transposed."""


def export_onnx(
    network: nn.Module,
    example: Tensor,
    path: str | os.PathLike[str],
    *,
    input_name: str = "image",
    output_name: str = "logits",
    dynamic_axes: Mapping[int, str] | None = None,
    tokens: int = TOKENS,
) -> Path:
    """Write a network as one ONNX file that needs nothing of this package, with a dynamic batch.

    Weights of linear layers, convolutions and matrix products are initializers, as quantizers need them. The nodes
    carry no metadata: PyTorch writes a stack trace into each.

    Args:
        network: it is left as it is; scans become loops, see `make_loopable`.
        example: a batch of two or more images of the size that the file is for; its values do not matter.
        path: of the file, replaced where it exists.
        input_name: of the file's input.
        output_name: of the file's output.
        dynamic_axes: names of the axes that may have another size, by their number; by default the batch alone.
        tokens: of a turn of the scan's loop.

    Returns:
        The path of the file.

    Raises:
        UserError: the packages of the extra ``export`` are not installed.
    """
    optimizer, softplus = _import_onnxscript()
    axes = {0: "batch"} if dynamic_axes is None else dict(dynamic_axes)
    loopable = make_loopable(network, tokens)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            loopable,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=(dict.fromkeys(axes, torch.export.Dim.DYNAMIC),),
            input_names=[input_name],
            output_names=[output_name],
            custom_translation_table={torch.ops.aten.softplus.default: softplus},
            optimize=False,
            verbose=False,
        )
        assert program is not None
        model = program.model
        optimizer.optimize_ir(model, input_size_limit=NO_LIMIT, output_size_limit=NO_LIMIT)
    _clean(model, axes)
    target = Path(path)
    write_bytes(target, program.model_proto.SerializeToString())
    return target


def _import_onnxscript() -> tuple[Any, Callable[..., Any]]:
    """Return onnxscript's optimizer and ONNX's own softplus, which needs no threshold."""
    try:
        import onnx  # noqa: F401
        from onnxscript import optimizer
        from onnxscript.onnx_opset import opset20 as op
    except ImportError as error:
        raise UserError(f'an ONNX file needs {error.name}: pip install "medmamba-monai[export]"') from error

    def softplus(values: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
        if beta != 1:
            raise UserError(f"softplus with beta={beta} cannot be exported; this network has one of its own")
        return op.Softplus(values)

    return optimizer, softplus


def _clean(model: Any, axes: Mapping[int, str]) -> None:
    """Remove stack traces and what else PyTorch noted of its nodes, and name the dynamic axes of the input."""
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.metadata_props.clear()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what PyTorch's exporter says of torchvision, of its own deprecated parts and of each node."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
