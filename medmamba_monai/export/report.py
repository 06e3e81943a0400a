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
    return "\n".join([head, *rows, *_describe_change(report.get("test_images"))])


def _describe_change(change: Mapping[str, Any] | str | None) -> list[str]:
    if change is None:
        return []
    if isinstance(change, str):
        return [f"  AUC on test images: {change}"]
    limits = change["interval"]
    interval = limits if isinstance(limits, str) else f"95 % interval {limits[0]:+.4f} to {limits[1]:+.4f}"
    return [f"  AUC on {change['images']} test images: {change['auc_after']:.4f}, {change['change']:+.4f} ({interval})"]
