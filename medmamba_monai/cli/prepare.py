"""``medmamba-monai prepare``: data and folds of a bundle."""

from __future__ import annotations

from typing import Any

from medmamba_monai.bundle.commands import PREPARE
from medmamba_monai.cli.bundle_options import BundleArgument, take_options


@take_options(PREPARE)
def prepare(bundle: BundleArgument, options: dict[str, Any]) -> None:
    """Find or download the data of a bundle and make its folds."""
    from medmamba_monai import Bundle

    Bundle(bundle).prepare(**options)
