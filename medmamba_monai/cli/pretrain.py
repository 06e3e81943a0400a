"""``medmamba-monai pretrain``: weights to start from, made of images without labels."""

from __future__ import annotations

from typing import Any

from medmamba_monai.bundle.commands import PRETRAIN
from medmamba_monai.cli.bundle_options import BundleArgument, take_options


@take_options(PRETRAIN)
def pretrain(bundle: BundleArgument, options: dict[str, Any]) -> None:
    """Learn weights to start from, without labels.

    From the training part of each fold, or from a folder of images for all folds.
    """
    from medmamba_monai import Bundle

    print(f"weights {Bundle(bundle).pretrain(**options)}")
