"""The formats: how each writes a module, and how its own runtime runs the file."""

from __future__ import annotations

import importlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.export.onnx import OPSET, export_onnx
from medmamba_monai.networks.baselines import Classifier as Baseline

Run = Callable[[np.ndarray], np.ndarray]
"""From a batch of images to probabilities (B, classes)."""

INPUT, OUTPUT = "image", "probabilities"


class Format(ABC):
    """One format.

    Attributes:
        file: name of what it writes.
        package: what its runtime is, by the name that it is installed by.
        needs: the extra that brings each package which it needs beside PyTorch.
        looped: whether the module is to have its scans as loops; else they are written out.
        halves: whether the module is to compute in float16 for ``fp16``; else the format stores its weights so.
    """

    file: ClassVar[str]
    package: ClassVar[str]
    needs: ClassVar[Mapping[str, str]] = {}
    looped: ClassVar[bool] = True
    halves: ClassVar[bool] = True

    @abstractmethod
    def write(self, module: nn.Module, example: Tensor, path: Path, axes: Mapping[int, str], precision: str) -> None:
        """Write a module.

        Args:
            module: as `make_classifier` returns it.
            example: a batch of two images or more.
            path: of the file.
            axes: names of the axes whose size is free, by number.
            precision: ``fp32`` or ``fp16``; the module computes in it already, where the format can.
        """

    @abstractmethod
    def load(self, path: Path, threads: int) -> Run:
        """Open a file in the format's own runtime.

        Args:
            path: of the file.
            threads: that the runtime may use.
        """

    def check_installed(self) -> None:
        """Raise a UserError that names the extra unless all is there that writes and runs the format."""
        for name, extra in self.needs.items():
            _import(name, extra)

    def list_files(self, folder: Path) -> list[Path]:
        """Return the files that were written, the one that is opened first."""
        return [folder / self.file]

    def describe(self) -> dict[str, str | int]:
        """Return what a reader of the file has to know beside its name."""
        return {}


class Onnx(Format):
    """ONNX, run by onnxruntime on the CPU."""

    file, package = "model.onnx", "onnxruntime"
    needs: ClassVar[Mapping[str, str]] = {"onnx": "export", "onnxscript": "export", "onnxruntime": "export"}

    def write(self, module: nn.Module, example: Tensor, path: Path, axes: Mapping[int, str], precision: str) -> None:
        """Write ONNX; see `export_onnx`."""
        export_onnx(module, example, path, input_name=INPUT, output_name=OUTPUT, dynamic_axes=axes)

    def load(self, path: Path, threads: int) -> Run:
        """Open a session on the CPU."""
        onnxruntime = _import("onnxruntime", "export")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
        return lambda images: np.asarray(session.run([OUTPUT], {INPUT: images})[0])

    def describe(self) -> dict[str, str | int]:
        """Return the opset, and the names of input and output."""
        return {"opset": OPSET, "input": INPUT, "output": OUTPUT}


class OpenVino(Format):
    """OpenVINO's intermediate representation, converted from ONNX."""

    file, package = "model.xml", "openvino"
    needs: ClassVar[Mapping[str, str]] = {"onnx": "export", "onnxscript": "export", "openvino": "openvino"}
    halves = False

    def write(self, module: nn.Module, example: Tensor, path: Path, axes: Mapping[int, str], precision: str) -> None:
        """Write ONNX to a folder of its own, and convert it; ``fp16`` is how the weights are stored."""
        openvino = _import("openvino", "openvino")
        with tempfile.TemporaryDirectory() as folder:
            source = export_onnx(
                module, example, Path(folder) / Onnx.file, input_name=INPUT, output_name=OUTPUT, dynamic_axes=axes
            )
            openvino.save_model(openvino.convert_model(source), path, compress_to_fp16=precision == "fp16")

    def load(self, path: Path, threads: int) -> Run:
        """Compile for the CPU, to compute in float32 on every machine."""
        options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        model = _import("openvino", "openvino").compile_model(path, "CPU", options)
        return lambda images: np.array(model(images)[0])

    def list_files(self, folder: Path) -> list[Path]:
        """Return the graph and its weights."""
        return [folder / self.file, (folder / self.file).with_suffix(".bin")]

    def describe(self) -> dict[str, str | int]:
        """Return the names of input and output."""
        return {"input": INPUT, "output": OUTPUT}


class TorchExport(Format):
    """A program of ``torch.export``, run by PyTorch without this package."""

    file, package = "model.pt2", "torch"

    def write(self, module: nn.Module, example: Tensor, path: Path, axes: Mapping[int, str], precision: str) -> None:
        """Write the program."""
        shapes = (dict.fromkeys(axes, torch.export.Dim.DYNAMIC),)
        with torch.no_grad():
            program = torch.export.export(module, (example,), dynamic_shapes=shapes)
        torch.export.save(program, path)

    def load(self, path: Path, threads: int) -> Run:
        """Open the program; PyTorch's threads are those of the process."""
        module = torch.export.load(path).module()
        return _run_without_gradient(module)


class TorchScript(Format):
    """TorchScript, which PyTorch calls deprecated and many servers and C++ programs still load."""

    file, package = "model.ts", "torch"
    looped = False

    def write(self, module: nn.Module, example: Tensor, path: Path, axes: Mapping[int, str], precision: str) -> None:
        """Script the module; networks other than MedMamba check their input in Python, and are traced."""
        traced = any(isinstance(part, Baseline) for part in module.modules())
        made = torch.jit.trace(module, example) if traced else torch.jit.script(module)
        made.save(os.fspath(path))

    def load(self, path: Path, threads: int) -> Run:
        """Open the script; PyTorch's threads are those of the process."""
        return _run_without_gradient(torch.jit.load(os.fspath(path)))


FORMATS: dict[str, Format] = {
    "onnx": Onnx(),
    "torch_export": TorchExport(),
    "torchscript": TorchScript(),
    "openvino": OpenVino(),
}


def _run_without_gradient(module: Callable[[Tensor], Tensor]) -> Run:
    def run(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return module(torch.from_numpy(images)).numpy()

    return run


def _import(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f'{name} is not installed ({error}): pip install "medmamba-monai[{extra}]"') from error
