"""Everything on a machine with a GPU, from one command: ``python -m benchmarks.gpu --output FOLDER``.

The parts run one after the other, and after each the result is written to ``FOLDER/gpu.json``. Started again with the
same folder, finished parts are kept and the others run; ``--again PART`` measures one anew.

==============  =====================================================================================
part            what it does
==============  =====================================================================================
``tests``       the whole test suite
``ceilings``    what this GPU reaches: bytes and exponentials per second, products in bfloat16
``scan``        time of the scan of each stage, against the limit set by bytes and exponentials
``accuracy``    the scan's output and gradients against float64
``networks``    images per second and peak memory, inference and training
``bfloat16``    200 training steps under bfloat16 autocast: no NaN
``launches``    the scan with other launch configurations of the Triton kernels, where that backend is there
==============  =====================================================================================
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

REQUIRED = ("torch", "monai", "numpy", "tqdm", "triton", "transformers", "pytest")
BATCHES = (1, 8, 64, 256)
STEPS = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; returns 0, 1 where a bar is missed or a part failed, 2 where it cannot run here."""
    options = _options(arguments)
    if (reason := why_not_here()) is not None:
        print(f"error: {reason}", file=sys.stderr)
        return 2
    from benchmarks.gpu.parts import run_parts
    from medmamba_monai.core.errors import UserError, format_error

    try:
        return run_parts(options)
    except UserError as error:
        print(format_error(error), file=sys.stderr)
        return 2


def missing_packages() -> list[str]:
    """Names of the packages that are needed and not installed."""
    return [name for name in REQUIRED if importlib.util.find_spec(name) is None]


def why_not_here() -> str | None:
    """Say in one sentence why this machine cannot run the benchmark, or return None."""
    if missing := missing_packages():
        return f"not installed: {', '.join(missing)}. Install them (pip install {' '.join(missing)}) and start again."
    import torch

    if not torch.cuda.is_available():
        return f"benchmarks.gpu needs a CUDA device, and torch {torch.__version__} sees none."
    return None


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    description, _, _ = (__doc__ or "").partition("\n\n==")
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=description)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where gpu.json is kept")
    parser.add_argument("--skip-tests", action="store_true", help="do not run the test suite")
    parser.add_argument("--parts", nargs="+", metavar="PART", help="only these")
    parser.add_argument("--again", nargs="+", metavar="PART", default=[], help="measure these again")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES))
    parser.add_argument("--networks", nargs="+", metavar="NAME", help="default: MedMamba-T with each backend, others")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=STEPS, help="training steps of the part bfloat16")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
