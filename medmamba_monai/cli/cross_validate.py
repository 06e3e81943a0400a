"""``medmamba-monai cross-validate``: all folds of a bundle, and their review."""

from __future__ import annotations

from typing import Any

from medmamba_monai.bundle.commands import CROSS_VALIDATE
from medmamba_monai.cli.bundle_options import BundleArgument, take_options


@take_options(CROSS_VALIDATE)
def cross_validate(bundle: BundleArgument, options: dict[str, Any]) -> None:
    """Train and evaluate all folds, and review them."""
    from medmamba_monai import Bundle

    Bundle(bundle).cross_validate(**options)
