"""An export's report for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def format_report(report: Mapping[str, Any]) -> str:
    """Return what `export_package` found in a few lines."""
    head = (
        f"{report['format']}, {report['precision']}, {'all folds' if len(report['folds']) > 1 else 'one fold'}: "
        f"{report['bytes'] / 1e6:.2f} MB, largest difference of a probability {report['difference']:.1e} on "
        f"{report['images']} images (allowed: {report['bar']:g})"
    )
    rows = [
        f"  batch of {row['images']}: {row['milliseconds']:.1f} ms, {row['times_eager']:.1f} times the "
        f"{row['eager_milliseconds']:.1f} ms of the eager network"
        for row in report["batches"]
    ]
    return "\n".join([head, *rows])
