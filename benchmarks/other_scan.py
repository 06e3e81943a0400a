"""Time another scan for CPUs beside the one of this package: ``python -m benchmarks.other_scan --library FILE``.

The file is a Python extension that was built elsewhere and has functions with the signature of Mamba's
``selective_scan_fn``, as that of EdgeVisionMamba has. Both scan the same sequences, one direction of MedMamba-T's four
stages, forward; the values are compared first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.accuracy import Shape, relative_error
from benchmarks.machine import default_threads, describe_machine
from benchmarks.report import add_common_options, new_result, save_result, time_table
from benchmarks.scan import stage_shapes
from benchmarks.timing import interleave, time_entries
from medmamba_monai import medmamba_tiny
from medmamba_monai.core.errors import UserError, ends_with_user_errors
from medmamba_monai.selective_scan import selective_scan

OWN, FUNCTIONS = "medmamba_monai", ["selective_scan_simd", "selective_scan_simd_fixlen"]
NO_GATE = torch.empty(0)
"""What EdgeVisionMamba takes for no z; it takes no None."""
AGREEMENT = 1e-4
"""Relative difference up to which two scans count as the same."""


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns 0, or 2 for what the user can fix."""
    options = _options(arguments)
    if options.library is None:
        print("nothing measured: give --library FILE, a scan built elsewhere")
        return 0
    torch.set_num_threads(options.threads)
    library = load_library(options.library)
    chosen = {key: getattr(options, key) for key in ("batch", "image_size", "rounds", "functions", "quick")}
    result = new_result("other_scan", chosen, describe_machine(threads=options.threads)) | {"times": []}
    shapes = stage_shapes(medmamba_tiny(num_classes=2), options.image_size, options.batch)
    for shape in shapes[2:] if options.quick else shapes:
        result["times"] += time_sequences(library, options.functions, shape, options.rounds)
    print(f"\n{time_table(result['times'])}")
    save_result(result, options.json)
    return 0


def load_library(path: Path) -> Any:
    """Import an extension from its file.

    Raises:
        UserError: there is no such file, or it does not import.
    """
    name = path.name.split(".")[0]
    spec = spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise UserError(f"--library {path} is no Python extension: give the file that was built (.so or .pyd)")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError) as error:
        raise UserError(f"--library {path} does not import ({error}): build it for this Python and PyTorch") from error
    return module


def time_sequences(library: Any, functions: Sequence[str], shape: Shape, rounds: int) -> list[dict[str, Any]]:
    """Time the scans of sequences (B, C, L) after their values were found equal; one entry for each.

    Raises:
        UserError: the library lacks a function, or one returns other values.
    """
    inputs = draw_sequences(shape)
    scans: dict[str, Callable[[], Tensor]] = {OWN: partial(selective_scan, **inputs, delta_softplus=True)}
    with torch.inference_mode():
        truth = scans[OWN]()
        for name in functions:
            if not hasattr(library, name):
                raise UserError(f"--functions {name}: the library has no such function")
            scans[name] = partial(getattr(library, name), **inputs, z=NO_GATE, delta_softplus=True)
            if (error := relative_error(scans[name](), truth)) > AGREEMENT:
                raise UserError(f"--functions {name}: its values are off by {error:.1e}, it scans something else")
        times = interleave(scans, rounds, label=f"L {shape.length}")
    times.stop_if_interrupted()
    return time_entries(times, f"B {shape.batch}, C {shape.channels}, L {shape.length}, N {shape.state_size}", OWN)


def draw_sequences(shape: Shape) -> dict[str, Any]:
    """Draw what a scan of sequences takes, by the names of ``selective_scan``."""
    generator = torch.Generator().manual_seed(0)

    def normal(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=generator)

    states = (shape.batch, shape.state_size, shape.length)
    return {
        "u": normal(shape.batch, shape.channels, shape.length),
        "delta": normal(shape.batch, shape.channels, shape.length) - 4,
        "A": -torch.arange(1.0, shape.state_size + 1).repeat(shape.channels, 1),
        "B": normal(*states),
        "C": normal(*states),
        "D": normal(shape.channels),
        "delta_bias": torch.zeros(shape.channels),
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.other_scan", description=__doc__)
    parser.add_argument("--library", type=Path, metavar="FILE", help="the extension; without it nothing is measured")
    parser.add_argument("--functions", nargs="+", metavar="NAME", default=FUNCTIONS, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--image-size", type=int, default=224, help="edge of the images whose stages are scanned")
    parser.add_argument("--rounds", type=int, help="samples of each (default 15, quick 2)")
    parser.add_argument("--threads", type=int, default=default_threads())
    add_common_options(parser)
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (2 if options.quick else 15)
    return options


if __name__ == "__main__":
    sys.exit(main())
