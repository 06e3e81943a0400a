"""``medmamba-monai train``: one fold of a bundle."""

from __future__ import annotations

from typing import Any

from medmamba_monai.bundle.commands import TRAIN
from medmamba_monai.cli.bundle_options import BundleArgument, take_options


@take_options(TRAIN)
def train(bundle: BundleArgument, options: dict[str, Any]) -> None:
    """Train one fold; started again, it goes on."""
    from medmamba_monai import Bundle

    print(f"weights {Bundle(bundle).train(**options).weights}")
