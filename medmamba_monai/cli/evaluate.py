"""``medmamba-monai evaluate``: the weights of one fold."""

from __future__ import annotations

from typing import Any

from medmamba_monai.bundle.commands import EVALUATE
from medmamba_monai.cli.bundle_options import BundleArgument, take_options


@take_options(EVALUATE)
def evaluate(bundle: BundleArgument, options: dict[str, Any]) -> None:
    """Evaluate the weights of one fold."""
    from medmamba_monai import Bundle

    print(f"predictions and metrics {Bundle(bundle).evaluate(**options).directory}")
