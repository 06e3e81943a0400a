"""How a network computes: device, precision, ``torch.compile`` and CUDA graphs, chosen once and told in a few lines."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass, field

import psutil
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks.registry import uses_scan
from medmamba_monai.selective_scan.backends import choose_backend
from medmamba_monai.training.options import NetworkOptions
from medmamba_monai.training.precision import Precision


@dataclass(frozen=True)
class Execution:
    """How a network computes.

    Attributes:
        device: where.
        precision: dtype of autocast by its name, or False for float32 throughout.
        compiles: whether ``torch.compile`` compiles the network.
        graphs: whether batches of a fixed shape are launched as CUDA graphs.
        lines: the choices and their reasons, for people.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = False
    compiles: bool = False
    graphs: bool = False
    lines: tuple[str, ...] = ()

    @property
    def needs_scaler(self) -> bool:
        """Whether gradients may underflow, so that the loss is scaled: in float16."""
        return self.precision == "float16"

    @property
    def dtype(self) -> torch.dtype | None:
        """Dtype of autocast, or None without."""
        return getattr(torch, self.precision) if self.precision else None

    def announce(self, within: bool = False) -> None:
        """Print the choices in the first process, unless what this training is part of has done so."""
        if not within and int(os.environ.get("RANK", "0")) == 0:
            print("\n".join(self.lines), flush=True)


def choose_execution(options: NetworkOptions) -> Execution:
    """Choose how a network computes.

    Raises:
        UserError: the machine cannot do what is asked for.
    """
    device = options.device
    if options.compile:
        _check_compiler(device)
    graphs, why = _choose_graphs(options.cuda_graphs, device)
    lines = [
        f"device: {_describe_device(device)}",
        f"precision: {_describe_precision(options.amp, device)}",
        *([f"scan: {_describe_scan(options.scan_backend, device)}"] if uses_scan(options.network_name) else []),
        f"CUDA graphs: {'on' if graphs else 'off'} ({why}); torch.compile: {'on' if options.compile else 'off'}",
    ]
    return Execution(device, options.amp, options.compile, graphs, tuple(lines))


def _check_compiler(device: torch.device) -> None:
    """Check that what ``torch.compile`` calls is installed.

    Raises:
        UserError: it is not.
    """
    compiler = os.environ.get("CXX") or ("cl" if os.name == "nt" else "g++")
    if shutil.which(compiler) is None and shutil.which("clang++") is None:
        raise UserError(f"--compile True needs a C++ compiler, and there is no {compiler}; install it, or set CXX")
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise UserError("--compile True needs the package triton on a GPU; install it, or use --compile False")


def _choose_graphs(wanted: bool | str, device: torch.device) -> tuple[bool, str]:
    """Return whether to use CUDA graphs, and the reason.

    Raises:
        UserError: they are asked for where they cannot be.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    obstacle = ""
    if device.type != "cuda":
        obstacle = f"needs a GPU, the device is {device}"
    elif processes > 1:
        obstacle = f"works in one process, here are {processes}"
    if wanted is True and obstacle:
        raise UserError(f"--cuda_graphs True {obstacle}; use --cuda_graphs auto")
    if wanted is False:
        return False, "as asked for"
    return (False, obstacle) if obstacle else (True, "one launch for all kernels of a batch; --cuda_graphs False: none")


def _describe_device(device: torch.device) -> str:
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        return f"{device}, {found.name}, {found.total_memory / 2**30:.0f} GiB"
    memory = psutil.virtual_memory().total / 2**30
    text = f"{device}, {torch.get_num_threads()} threads, {memory:.0f} GiB"
    return text if torch.cuda.is_available() else f"{text}; torch sees no GPU"


def _describe_precision(precision: Precision, device: torch.device) -> str:
    if precision:
        return f"{precision}, with weights and states of the scan in float32 (--amp False: float32 throughout)"
    return "float32" if device.type == "cuda" else f"float32, which auto means on a {device.type}"


def _describe_scan(name: str, device: torch.device) -> str:
    chosen = choose_backend(name, device, torch.float32)
    return f"{chosen}, {'the fastest that runs here' if name == 'auto' else 'as asked for'}"
