"""What a user can say of a review: the bootstrap, and whether images are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.results.review import RESAMPLES, check_bootstrap
from medmamba_monai.tracking.mlflow_store import parse_sqlite_path

REVIEW_OPTIONS: dict[str, Any] = {"resamples": RESAMPLES, "seed": 0, "with_images": None}
"""What a review does where nobody says otherwise; for the images see `images_left_out`."""


def check_review_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options of a review, and check them before anything is trained or computed.

    Raises:
        UserError: an option is unknown or has a value that cannot be.
    """
    if unknown := sorted(options.keys() - REVIEW_OPTIONS.keys()):
        raise UserError(f"unknown option {unknown[0]!r} of the review: choose from {', '.join(REVIEW_OPTIONS)}")
    chosen = {**REVIEW_OPTIONS, **options}
    check_bootstrap(chosen["resamples"], chosen["seed"])
    if chosen["with_images"] not in (None, True, False):
        raise UserError(f"--report_images {chosen['with_images']!r}: give True or False")
    return chosen


def images_left_out(with_images: bool | None, tracking_uri: str) -> str:
    """Why a report shows no images; empty where it shows them.

    Args:
        with_images: what the user said; None leaves them out where results go to a server, which others may read.
        tracking_uri: where results go; empty for nowhere.
    """
    if with_images is None:
        local = not tracking_uri or parse_sqlite_path(tracking_uri) is not None
        reason = "Images were left out, as the results go to a tracking server; --report_images True shows them."
        return "" if local else reason
    return "" if with_images else "Images were left out, as asked for."
