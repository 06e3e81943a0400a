"""Everything on a machine with a GPU, from one command: ``python -m benchmarks.gpu --output FOLDER``.

Parts run one after the other, the most important first, and after each the result is written to ``FOLDER/gpu.json``.
Started again with the same folder and the same commit, finished parts are kept and the others run; ``--again PART``
measures one anew. ``--quick`` ends within eight minutes, with fewer rounds and smaller parts.

====================  ==============================================================================================
part                  what it does
====================  ==============================================================================================
``checks``            the tests that need a GPU: values and gradients of the kernels
``accuracy``          the scan's output and gradients against float64
``networks``          images per second and peak memory, inference and training
``bundle``            one fold of a bundle, end to end: start to first step, images per second
``launches``          how many kernels a training step launches
``ceilings``          what this GPU reaches: bytes and exponentials per second, products in bfloat16
``scan``              time of the scan of each stage, against the limit set by bytes and exponentials
``bfloat16``          200 training steps under bfloat16 autocast: no NaN
``cross_validation``  five folds of the paper's recipe at 224 pixels; with ``--quick``, its first two epochs
``compiled``          training with ``torch.compile``
``kernels``           the scan with other launch configurations of the Triton kernels
``tests``             the whole test suite, not with ``--quick``
====================  ==============================================================================================
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

REQUIRED = ("torch", "monai", "numpy", "tqdm", "triton", "transformers", "pytest")
BATCHES, ROUNDS = (1, 8, 64, 256), 10
QUICK_BATCHES, QUICK_ROUNDS, QUICK_SECONDS = (64,), 4, 460
"""What ``--quick`` measures; the command itself needs some seconds to begin and to end."""
STEPS = 200
EXTENSION = "selective_scan_cuda"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; returns 0, 1 where a bar is missed or a part failed, 2 where it cannot run here."""
    options = _options(arguments)
    if (reason := why_not_here()) is not None:
        print(f"error: {reason}", file=sys.stderr)
        return 2
    from benchmarks.gpu.budget import Budget
    from benchmarks.gpu.parts import run_parts
    from medmamba_monai.core.errors import UserError, format_error

    budget = Budget(QUICK_SECONDS if options.quick else None)
    try:
        if options.mamba_ssm is not None:
            use_extension(options.mamba_ssm)
        return run_parts(options, budget)
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


def use_extension(path: Path) -> None:
    """Let this process and those that it starts import mamba_ssm's compiled extension from a path.

    Args:
        path: the file ``selective_scan_cuda.*.so``, or the folder that it is in.

    Raises:
        UserError: it is not there or does not import.
    """
    from medmamba_monai.core.errors import UserError
    from medmamba_monai.selective_scan import BACKENDS

    folder = path if path.is_dir() else path.parent
    if not list(folder.glob(f"{EXTENSION}*.so")):
        raise UserError(f"--mamba-ssm {path}: there is no {EXTENSION}.*.so in {folder}")
    folder = folder.resolve()
    sys.path.insert(0, str(folder))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *([before] if before else [])])
    if (reason := BACKENDS["mamba_ssm"].find_import_failure()) is not None:
        raise UserError(f"--mamba-ssm {path}: the extension does not import here ({reason})")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    description, _, _ = (__doc__ or "").partition("\n\n==")
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=description)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where gpu.json is kept")
    parser.add_argument("--quick", action="store_true", help="end within 8 minutes: fewer rounds, smaller parts")
    parser.add_argument("--skip-tests", action="store_true", help="do not run the test suite")
    parser.add_argument("--parts", nargs="+", metavar="PART", help="only these")
    parser.add_argument("--again", nargs="+", metavar="PART", default=[], help="measure these again")
    parser.add_argument("--mamba-ssm", type=Path, metavar="PATH", help=f"{EXTENSION}.*.so that was built before")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="has PneumoniaMNIST (default: MEDMAMBA_DATA_DIR)")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batches", nargs="+", type=int, help="images a step of the part networks")
    parser.add_argument("--networks", nargs="+", metavar="NAME", help="default: MedMamba-T with each backend, others")
    parser.add_argument("--rounds", type=int, help=f"samples of each (default {ROUNDS}, quick {QUICK_ROUNDS})")
    parser.add_argument("--steps", type=int, default=STEPS, help="training steps of the part bfloat16")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    options.batches = options.batches or list(QUICK_BATCHES if options.quick else BATCHES)
    if options.data is None and (place := os.environ.get("MEDMAMBA_DATA_DIR")):
        options.data = Path(place)
    return options


if __name__ == "__main__":
    sys.exit(main())
