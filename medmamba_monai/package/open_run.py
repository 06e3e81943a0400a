"""A finished cross-validation opened as its package would be, with no package left behind."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import torch

from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.networks.blocks import SS2D
from medmamba_monai.package.open import Package
from medmamba_monai.package.select_folds import Folds
from medmamba_monai.package.write import write_package


def open_run(run: str | os.PathLike[str], device: str | torch.device = "cpu", folds: Folds = "all") -> Package:
    """Open the networks of a finished cross-validation; it cannot tell images that are unlike those of the run.

    Scans are computed as the run computed them, where a package, which goes to other machines, takes the fastest way.

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
        package = Package.open(folder, device)
    chosen = json.loads(RunFolder(run).settings.read_text(encoding="utf-8"))["scan_backend"]
    for module in (module for network in package.networks.values() for module in network.modules()):
        if isinstance(module, SS2D):
            module.scan_backend = chosen
    return package
