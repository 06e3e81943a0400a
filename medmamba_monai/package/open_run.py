"""A finished cross-validation opened as its package would be, with no package left behind."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch

from medmamba_monai.package.open import Package
from medmamba_monai.package.select_folds import Folds
from medmamba_monai.package.write import write_package


def open_run(run: str | os.PathLike[str], device: str | torch.device = "cpu", folds: Folds = "all") -> Package:
    """Open the networks of a finished cross-validation; it cannot tell images that are unlike those of the run.

    Args:
        run: folder of the cross-validation, such as ``output/first``.
        device: where the networks are, see `resolve_device`.
        folds: see `write_package`.

    Raises:
        UserError: no package can be written of the run, see `write_package`.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "package")
        write_package(run, folder, folds, look_at_images=False)
        return Package.open(folder, device)
